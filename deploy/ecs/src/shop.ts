/**
 * The example shop (examples/shop): its API behind the balancer, the process that runs its jobs, and the cache's own Redis.
 * Its image has its definitions in it, and the workers of this stack need the same ones.
 */
import { Duration, Validations } from 'aws-cdk-lib';
import {
  type Cluster,
  type ContainerImage,
  FargateService,
  FargateTaskDefinition,
  type HealthCheck,
  Secret as TaskSecret,
} from 'aws-cdk-lib/aws-ecs';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { confined, PLATFORM, serviceBasics, sluiceImage } from './container.ts';
import { DATABASE, MIGRATE_USER, type Mysql, SHOP_USER } from './mysql.ts';
import { METRICS_PORT, MYSQL_PORT, type Network, SHOP_PORT, type ShopGroups } from './network.ts';
import type { Options, ShopOptions } from './options.ts';
import { Redis } from './redis.ts';
import { type WebParts, WebService } from './web-service.ts';

/** A request of the shop takes at most some seconds. */
const DEREGISTRATION_DELAY = Duration.seconds(30);
/** Requests and jobs at hand, then what Sluice has buffered. */
const STOP_TIMEOUT = Duration.seconds(60);
/** A second one goes on if the first one is lost. */
const JOB_TASKS = 2;
/** What scaling keeps a task with one vCPU at, requests a second: half of what bench/ measured for a route that counts. */
const REQUESTS_PER_VCPU = 1000;

/**
 * Whether the process answers, not whether its servers do: /health is 503 while Sluice's Redis is away, when the shop still
 * reads from its cache. New tasks would not bring Redis back, and could not start without it.
 */
const ANSWERS = '200,503';

const asks = (url: string): HealthCheck => ({
  command: ['CMD', 'node', '--eval', `fetch('${url}').then(() => process.exit(0), () => process.exit(1))`],
  interval: Duration.seconds(10),
  timeout: Duration.seconds(5),
  retries: 3,
  startPeriod: Duration.seconds(60),
});

interface TaskParts {
  readonly program: 'main' | 'jobs' | 'migrate';
  readonly cpu: number;
  readonly memory: number;
  readonly environment: Record<string, string>;
  readonly secrets: Record<string, TaskSecret>;
  readonly healthCheck?: HealthCheck;
  readonly ports?: number[];
}

export interface ShopParts
  extends Pick<WebParts, 'balancer' | 'deployment' | 'deploymentHook' | 'route'>,
    Pick<ShopOptions, 'image'> {
  readonly tasks: WebParts['tasks'];
  readonly options: Options;
  readonly logGroup: ILogGroup;
  readonly mysql: Mysql;
  /** Sluice's. */
  readonly redis: Redis;
  readonly groups: ShopGroups;
}

export class Shop extends Construct {
  readonly web: WebService;
  readonly jobs: FargateService;
  readonly cache: Redis;
  /** Makes the shop's own tables. */
  readonly migrate: FargateTaskDefinition;
  /** For an operator's commands too. */
  readonly task: FargateTaskDefinition;
  readonly #image: ContainerImage;
  readonly #logGroup: ILogGroup;

  constructor(scope: Construct, id: string, cluster: Cluster, network: Network, parts: ShopParts) {
    super(scope, id);
    const { options, groups, mysql, balancer, deployment, deploymentHook, route, tasks } = parts;
    const { size } = options;
    this.#image = sluiceImage(this, parts.image);
    this.#logGroup = parts.logGroup;
    this.cache = new Redis(this, 'Cache', network, {
      engine: options.redisEngine,
      node: size.cacheNode,
      // Without one, a lost node would send every read to MySQL at once.
      replicas: 1,
      securityGroup: groups.cache,
      policy: 'allkeys-lru',
      why: 'a cache may forget anything at any time',
      holds: 'the cache of the example shop',
    });
    const given = this.#given(network, parts);
    const { shopCpu: cpu, shopMemory: memory } = size;
    this.task = this.#task('Task', {
      ...given,
      program: 'main',
      cpu,
      memory,
      healthCheck: asks(`http://127.0.0.1:${SHOP_PORT}/health`),
      ports: [SHOP_PORT, METRICS_PORT],
    });
    this.web = new WebService(this, 'Web', cluster, network, {
      balancer,
      deployment,
      deploymentHook,
      route,
      tasks,
      task: this.task,
      securityGroup: groups.tasks,
      port: SHOP_PORT,
      ready: { path: '/health', port: String(SHOP_PORT), healthyHttpCodes: ANSWERS },
      deregistrationDelay: DEREGISTRATION_DELAY,
      requestsPerSecond: (cpu / 1024) * REQUESTS_PER_VCPU,
    });
    this.jobs = this.#runJobs(cluster, network, parts, { ...given, cpu, memory });
    this.migrate = this.#task('Migrate', {
      program: 'migrate',
      cpu: 256,
      memory: 512,
      environment: {
        // Not the proxy, which wants a token of this user.
        MYSQL_URL: `mysql://${MIGRATE_USER}@${mysql.instance.dbInstanceEndpointAddress}:${MYSQL_PORT}/${DATABASE}`,
        MYSQL_TLS: 'rds',
      },
      secrets: { MYSQL_PASSWORD: TaskSecret.fromSecretsManager(mysql.passwords[MIGRATE_USER], 'password') },
    });
  }

  /** What src/settings.ts of the shop reads. */
  #given(network: Network, { options, mysql, redis }: ShopParts) {
    const environment = {
      HOST: '0.0.0.0',
      PORT: String(SHOP_PORT),
      METRICS_PORT: String(METRICS_PORT),
      REDIS_URL: redis.url,
      CACHE_REDIS_URL: this.cache.url,
      MYSQL_URL: mysql.url(SHOP_USER),
      MYSQL_TLS: 'rds',
      SLUICE_NAMESPACE: options.namespace,
      SLUICE_PARTITIONS: String(options.partitions),
      SECURE_COOKIES: '1',
      TRUSTED_PROXIES: network.vpc.vpcCidrBlock,
    };
    const secrets = {
      REDIS_PASSWORD: TaskSecret.fromSecretsManager(redis.password),
      CACHE_REDIS_PASSWORD: TaskSecret.fromSecretsManager(this.cache.password),
      MYSQL_PASSWORD: TaskSecret.fromSecretsManager(mysql.shopPassword!, 'password'),
      SESSION_SECRET: this.#secret(
        'SessionSecret',
        'Sluice: signs the cookies of sessions of the example shop',
      ),
      ADMIN_KEY: this.#secret('AdminKey', "Sluice: opens the operators' routes of the example shop"),
    };
    return { environment, secrets };
  }

  #secret(id: string, description: string): TaskSecret {
    const secret = new Secret(this, id, {
      description,
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
    });
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'A new value ends all sessions, or locks operators out: somebody has to choose the time.',
    });
    return TaskSecret.fromSecretsManager(secret);
  }

  #task(id: string, parts: TaskParts): FargateTaskDefinition {
    const { program, cpu, memory, ports, ...given } = parts;
    const task = new FargateTaskDefinition(this, id, {
      cpu,
      memoryLimitMiB: memory,
      runtimePlatform: PLATFORM,
    });
    confined(task, {
      ...given,
      image: this.#image,
      command: ['node', `src/${program}.ts`],
      user: 'node',
      logGroup: this.#logGroup,
      streamPrefix: `shop-${program}`,
      stopTimeout: STOP_TIMEOUT,
      ...(ports ? { portMappings: ports.map(containerPort => ({ containerPort })) } : {}),
    });
    return task;
  }

  /** Jobs wait in Redis whatever happens to the process that runs them: nothing is shifted, new tasks take over. */
  #runJobs(
    cluster: Cluster,
    network: Network,
    { groups, tasks }: ShopParts,
    parts: Omit<TaskParts, 'program'>,
  ): FargateService {
    return new FargateService(this, 'Jobs', {
      ...serviceBasics(network),
      cluster,
      taskDefinition: this.#task('JobsTask', {
        ...parts,
        program: 'jobs',
        healthCheck: asks(`http://127.0.0.1:${METRICS_PORT}`),
        ports: [METRICS_PORT],
      }),
      desiredCount: Math.min(JOB_TASKS, tasks.minTasks),
      circuitBreaker: { rollback: true },
      securityGroups: [groups.tasks],
    });
  }
}
