/** What a deployment is told: context values of the CDK (`-c name=value`), checked before anything is made of them. */
import type { Node } from 'constructs';
import { type Deployment, deployments } from './rollout.ts';

/** What a size buys. README.md says what each costs and what load it is meant for. */
export const sizes = {
  small: {
    redisNode: 'cache.t4g.small',
    redisReplicas: 1,
    mysqlClass: 't4g.medium',
    mysqlMultiAz: true,
    workerCpu: 512,
    workerMemory: 1024,
    apiCpu: 512,
    apiMemory: 1024,
    cacheNode: 'cache.t4g.small',
    shopCpu: 512,
    shopMemory: 1024,
    natGateways: 1,
  },
  medium: {
    redisNode: 'cache.m7g.large',
    redisReplicas: 1,
    mysqlClass: 'm7g.large',
    mysqlMultiAz: true,
    workerCpu: 1024,
    workerMemory: 2048,
    apiCpu: 1024,
    apiMemory: 2048,
    cacheNode: 'cache.m7g.large',
    shopCpu: 1024,
    shopMemory: 2048,
    natGateways: 2,
  },
  large: {
    redisNode: 'cache.r7g.xlarge',
    redisReplicas: 2,
    mysqlClass: 'r7g.2xlarge',
    mysqlMultiAz: true,
    workerCpu: 2048,
    workerMemory: 4096,
    apiCpu: 2048,
    apiMemory: 4096,
    cacheNode: 'cache.r7g.large',
    // One process of the shop uses one vCPU: a larger load needs more tasks.
    shopCpu: 1024,
    shopMemory: 2048,
    natGateways: 3,
  },
} as const;

/** An existing network, named outright so that the synthesis asks nobody. */
export interface ExistingNetwork {
  readonly vpcId: string;
  readonly availabilityZones: string[];
  readonly privateSubnetIds: string[];
  /** For a balancer that the internet reaches; may be empty. */
  readonly publicSubnetIds: string[];
  /** For services behind a balancer, which believe its headers from these addresses only. */
  readonly vpcCidr: string | undefined;
}

/** Options of the load balancer, its web ACL, and all services behind it. */
export interface BalancerOptions {
  /** ARN of the certificate that the balancer shows. */
  readonly certificate: string;
  /** Who may reach the balancer: services with a security group of this stack, or anybody. */
  readonly reach: 'vpc' | 'internet';
  /** Requests that one address may make in five minutes. */
  readonly requestsPerAddress: number;
  /** How a new version of a service takes over. */
  readonly deployment: Deployment;
  /** ARN of the function that decides about a new version before requests reach it. */
  readonly deploymentHook: string | undefined;
}

/** How many tasks a service behind the balancer has. */
export interface TaskRange {
  /** 0 until what they need is there, such as tables. */
  readonly minTasks: number;
  readonly maxTasks: number;
}

/** Options of the example shop. */
export interface ShopOptions extends TaskRange {
  readonly image: { readonly address: string };
}

export interface Options {
  readonly size: (typeof sizes)[keyof typeof sizes];
  /** Sluice's image with the definitions in it: its address, or a folder with the Dockerfile that makes it. */
  readonly image: { readonly address: string } | { readonly folder: string };
  /** Of the migration, which comes before the workers' where the format changes. */
  readonly migrateImage: Options['image'];
  readonly network: ExistingNetwork | undefined;
  readonly redisEngine: 'valkey' | 'redis';
  readonly namespace: string;
  readonly partitions: number;
  readonly minWorkers: number;
  readonly maxWorkers: number;
  readonly logRetentionDays: number;
  readonly alarmEmail: string | undefined;
  /** There if something is behind it. */
  readonly balancer: BalancerOptions | undefined;
  /** Of `sluice serve`; without it there is no HTTP API. */
  readonly api: TaskRange | undefined;
  readonly shop: ShopOptions | undefined;
  /** Security group of the Prometheus that may read the metrics port; without it nobody may. */
  readonly scrapeFrom: string | undefined;
}

const known = [
  'size',
  'image',
  'imageFolder',
  'migrateImage',
  'vpcId',
  'availabilityZones',
  'privateSubnetIds',
  'publicSubnetIds',
  'vpcCidr',
  'redisEngine',
  'namespace',
  'partitions',
  'minWorkers',
  'maxWorkers',
  'logRetentionDays',
  'alarmEmail',
  'scrapeFrom',
  'certificate',
  'reach',
  'requestsPerAddress',
  'deployment',
  'deploymentHook',
  'api',
  'minApiTasks',
  'maxApiTasks',
  'shopImage',
  'minShopTasks',
  'maxShopTasks',
] as const;
type Name = (typeof known)[number];
type Text = (name: Name) => string | undefined;
type Count = (name: Name, preset: number, min: number, max: number) => number;
type OneOf = <Choice extends string>(name: Name, choices: readonly Choice[], preset: Choice) => Choice;

/** Of the worker; a process flushes so many partitions at a time. */
const CONCURRENCY = 4;
/** Those that CloudWatch Logs takes. */
const RETENTIONS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653];

/** @throws Error that names the wrong value */
export function readOptions(node: Node): Options {
  for (const name of Object.keys(node.getAllContext())) {
    // Names with a colon or a slash are flags of the CDK itself.
    if (!/[:/]/.test(name) && !(known as readonly string[]).includes(name))
      throw new Error(`"${name}" is not an option; there are: ${known.join(', ')}`);
  }
  const text: Text = name => {
    const value: unknown = node.tryGetContext(name);
    return value === undefined || value === '' ? undefined : String(value);
  };
  const oneOf: OneOf = (name, choices, preset) => {
    const value = text(name) ?? preset;
    const choice = choices.find(candidate => candidate === value);
    if (choice === undefined) throw new Error(`"${name}" must be one of ${choices.join(', ')}, not ${value}`);
    return choice;
  };
  const count: Count = (name, preset, min, max) => {
    const value = Number(text(name) ?? preset);
    if (!Number.isInteger(value) || value < min || value > max)
      throw new Error(`"${name}" must be a whole number from ${min} to ${max}`);
    return value;
  };
  const partitions = count('partitions', 16, 1, 1024);
  const minWorkers = count('minWorkers', 2, 0, 1000);
  // One that has no partition to itself can do nothing; and four partitions at a time is what one process does.
  const maxWorkers = count(
    'maxWorkers',
    Math.max(minWorkers, Math.ceil((partitions / CONCURRENCY) * 2)),
    1,
    1000,
  );
  if (maxWorkers < minWorkers || maxWorkers > Math.max(partitions, minWorkers))
    throw new Error(`"maxWorkers" must be from minWorkers (${minWorkers}) to partitions (${partitions})`);
  const logRetentionDays = count('logRetentionDays', 30, 1, 3653);
  if (!RETENTIONS.includes(logRetentionDays))
    throw new Error(`"logRetentionDays" must be one of ${RETENTIONS.join(', ')}`);
  const image = readImage(text('image'), text('imageFolder'));
  const migrateImage = text('migrateImage');
  const network = readNetwork(text);
  const api = oneOf('api', ['no', 'yes'], 'no') === 'yes';
  const shopImage = text('shopImage');
  return {
    size: sizes[oneOf('size', Object.keys(sizes) as (keyof typeof sizes)[], 'small')],
    image,
    migrateImage: migrateImage ? { address: migrateImage } : image,
    network,
    redisEngine: oneOf('redisEngine', ['valkey', 'redis'], 'valkey'),
    namespace: text('namespace') ?? 'sluice',
    partitions,
    minWorkers,
    maxWorkers,
    logRetentionDays,
    alarmEmail: text('alarmEmail'),
    balancer: readBalancer(text, count, oneOf, network, api || shopImage !== undefined),
    api: readTasks(text, count, api, 'api', ['minApiTasks', 'maxApiTasks']),
    shop: readShop(text, count, shopImage),
    scrapeFrom: text('scrapeFrom'),
  };
}

function readImage(address: string | undefined, folder: string | undefined): Options['image'] {
  if (address && !folder) return { address };
  if (folder && !address) return { folder };
  throw new Error('either "image", an address, or "imageFolder", a folder with a Dockerfile, must be given');
}

const CERTIFICATE = /^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate\/[\w-]+$/;
const FUNCTION = /^arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[\w-]+(:[\w$-]+)?$/;

/** @param wanted whether a service is behind it */
function readBalancer(
  text: Text,
  count: Count,
  oneOf: OneOf,
  network: ExistingNetwork | undefined,
  wanted: boolean,
): BalancerOptions | undefined {
  const certificate = text('certificate');
  if (!wanted) {
    const names = ['certificate', 'reach', 'requestsPerAddress', 'deployment', 'deploymentHook'] as const;
    const given = names.find(text);
    if (given) throw new Error(`"${given}" needs "api" or "shopImage": without them there is no balancer`);
    return undefined;
  }
  if (!certificate || !CERTIFICATE.test(certificate))
    throw new Error(
      '"certificate" must be the ARN of a certificate of ACM, arn:aws:acm:REGION:ACCOUNT:certificate/ID: the balancer speaks HTTPS only',
    );
  const reach = oneOf('reach', ['vpc', 'internet'], 'vpc');
  if (network && !network.vpcCidr)
    throw new Error('a balancer in an existing network needs "vpcCidr", the addresses of the VPC');
  if (network && reach === 'internet' && network.publicSubnetIds.length === 0)
    throw new Error('"reach" internet in an existing network needs "publicSubnetIds"');
  const deployment = oneOf('deployment', deployments, 'rolling');
  const deploymentHook = text('deploymentHook');
  if (deploymentHook && deployment === 'rolling')
    throw new Error('"deploymentHook" needs "deployment" blueGreen or canary: rolling has no test traffic');
  if (deploymentHook && !FUNCTION.test(deploymentHook))
    throw new Error(
      '"deploymentHook" must be the ARN of a function, arn:aws:lambda:REGION:ACCOUNT:function:NAME',
    );
  const requestsPerAddress = count('requestsPerAddress', 300_000, 10, 2_000_000_000);
  return { certificate, reach, requestsPerAddress, deployment, deploymentHook };
}

/** @param maker the option that makes the service */
function readTasks(
  text: Text,
  count: Count,
  wanted: boolean,
  maker: Name,
  [least, most]: readonly [Name, Name],
): TaskRange | undefined {
  if (!wanted) {
    const given = [least, most].find(text);
    if (given) throw new Error(`"${given}" needs "${maker}": without it there is no such service`);
    return undefined;
  }
  const minTasks = count(least, 2, 0, 1000);
  return { minTasks, maxTasks: count(most, Math.max(minTasks, 8), Math.max(minTasks, 1), 1000) };
}

function readShop(text: Text, count: Count, address: string | undefined): ShopOptions | undefined {
  const names = ['minShopTasks', 'maxShopTasks'] as const;
  const tasks = readTasks(text, count, address !== undefined, 'shopImage', names);
  return tasks && address ? { ...tasks, image: { address } } : undefined;
}

function readNetwork(text: Text): ExistingNetwork | undefined {
  const vpcId = text('vpcId');
  const list = (name: Name) => text(name)?.split(',').filter(Boolean) ?? [];
  const [availabilityZones, privateSubnetIds] = [list('availabilityZones'), list('privateSubnetIds')];
  if (!vpcId && availabilityZones.length + privateSubnetIds.length === 0) return undefined;
  if (!vpcId || availabilityZones.length < 2 || availabilityZones.length !== privateSubnetIds.length)
    throw new Error(
      'an existing network needs "vpcId", and "availabilityZones" and "privateSubnetIds" as lists of the same length, at least two',
    );
  const publicSubnetIds = list('publicSubnetIds');
  if (publicSubnetIds.length > 0 && publicSubnetIds.length !== availabilityZones.length)
    throw new Error('"publicSubnetIds" must have one subnet for each of "availabilityZones"');
  const vpcCidr = text('vpcCidr');
  if (vpcCidr && !/^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/.test(vpcCidr))
    throw new Error('"vpcCidr" must be a network such as 10.0.0.0/16');
  return { vpcId, availabilityZones, privateSubnetIds, publicSubnetIds, vpcCidr };
}
