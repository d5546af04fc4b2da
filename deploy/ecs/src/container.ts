/** What every task of Sluice has in common: its image, its environment, and what a container may not do. */
import { Duration, Stack, Validations } from 'aws-cdk-lib';
import { Repository } from 'aws-cdk-lib/aws-ecr';
import { Platform } from 'aws-cdk-lib/aws-ecr-assets';
import {
  AvailabilityZoneRebalancing,
  Capability,
  type ContainerDefinition,
  ContainerImage,
  CpuArchitecture,
  FargatePlatformVersion,
  type FargateServiceProps,
  FargateTaskDefinition,
  type HealthCheck,
  LinuxParameters,
  LogDriver,
  OperatingSystemFamily,
  PropagatedTagSource,
  Secret,
} from 'aws-cdk-lib/aws-ecs';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type { Mysql } from './mysql.ts';
import { METRICS_PORT, type Network } from './network.ts';
import type { Options } from './options.ts';
import type { Redis } from './redis.ts';

/** Of every task, for who overrides its command. */
export const CONTAINER = 'sluice';
/** Longest wait of a worker for the batch at hand after SIGTERM: the engine's own default, said outright. */
export const SHUTDOWN_DEADLINE_MS = 20_000;
/** ECS kills a task after this time: the deadline, and the goodbyes behind it. */
const STOP_TIMEOUT = Duration.seconds(30);

/**
 * Whether the process answers (/healthz), not whether it can flush (/readyz): ECS kills what is unhealthy, and a MySQL that
 * is away is no reason to kill every worker, which waits for it, at its start too (SLUICE_START_WAIT_MS). A worker that
 * cannot start at all exits; one that stops flushing restarts its consumer itself, and shows in the alarm on flush lag.
 * (ECS does not look at the health check of the image.)
 */
export const aliveCheck: HealthCheck = {
  command: ['CMD', 'node', '/app/dist/cli/main.js', 'health'],
  interval: Duration.seconds(10),
  timeout: Duration.seconds(5),
  retries: 3,
  // It listens at once, and waits for its servers then.
  startPeriod: Duration.seconds(60),
};

/** What an image from a folder is built for. */
export const PLATFORM = {
  cpuArchitecture: CpuArchitecture.X86_64,
  operatingSystemFamily: OperatingSystemFamily.LINUX,
};

/** What every service has in common: new tasks before old ones stop, in private subnets, and no shell in a task. */
export function serviceBasics(network: Network) {
  return {
    platformVersion: FargatePlatformVersion.VERSION1_4,
    minHealthyPercent: 100,
    maxHealthyPercent: 200,
    availabilityZoneRebalancing: AvailabilityZoneRebalancing.ENABLED,
    assignPublicIp: false,
    vpcSubnets: { subnets: network.taskSubnets },
    enableExecuteCommand: false,
    propagateTags: PropagatedTagSource.SERVICE,
  } as const satisfies Partial<FargateServiceProps>;
}

export interface TaskParts {
  readonly options: Options;
  readonly image: ContainerImage;
  readonly logGroup: ILogGroup;
  readonly mysql: Mysql;
  /** The user of MySQL as whom it logs in. */
  readonly user: string;
  /** Left out where the command needs no Redis. */
  readonly redis?: Redis;
  readonly command: string;
  readonly cpu: number;
  readonly memory: number;
  readonly environment?: Record<string, string>;
  readonly healthCheck?: HealthCheck;
  /** Ports that others may reach. */
  readonly ports?: readonly number[];
  /** That of a worker by default. */
  readonly stopTimeout?: Duration;
}

/** An address in ECR: who pulls from there needs a right to, which the CDK gives for a repository that it knows. */
const ECR = /^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com\/([^:@]+)[:@](.+)$/;

export function sluiceImage(scope: Construct, image: Options['image']): ContainerImage {
  if ('folder' in image) return ContainerImage.fromAsset(image.folder, { platform: Platform.LINUX_AMD64 });
  const [, account, region, name, version] = ECR.exec(image.address) ?? [];
  if (!account || !name) return ContainerImage.fromRegistry(image.address);
  const repositoryArn = `arn:${Stack.of(scope).partition}:ecr:${region}:${account}:repository/${name}`;
  const repository = Repository.fromRepositoryAttributes(scope, 'Image', {
    repositoryArn,
    repositoryName: name,
  });
  return ContainerImage.fromEcrRepository(repository, version);
}

/** A task definition with one container that runs `sluice COMMAND`. */
export function sluiceTask(scope: Construct, id: string, parts: TaskParts): FargateTaskDefinition {
  const { options, mysql, redis, user } = parts;
  const task = new FargateTaskDefinition(scope, id, {
    cpu: parts.cpu,
    memoryLimitMiB: parts.memory,
    runtimePlatform: PLATFORM,
  });
  confined(task, {
    image: parts.image,
    command: [parts.command],
    user: 'node',
    logGroup: parts.logGroup,
    streamPrefix: parts.command,
    environment: {
      MYSQL_URL: mysql.url(user),
      MYSQL_IAM_AUTH: '1',
      AWS_REGION: Stack.of(scope).region,
      SLUICE_NAMESPACE: options.namespace,
      SLUICE_PARTITIONS: String(options.partitions),
      // The metrics port: the image would listen on every address.
      SLUICE_HTTP_HOST: options.scrapeFrom ? '0.0.0.0' : '127.0.0.1',
      SLUICE_HTTP_PORT: String(METRICS_PORT),
      ...(redis ? { REDIS_URL: redis.url } : {}),
      ...parts.environment,
    },
    secrets: redis ? { REDIS_PASSWORD: Secret.fromSecretsManager(redis.password) } : {},
    ...(parts.healthCheck ? { healthCheck: parts.healthCheck } : {}),
    ...(parts.ports ? { portMappings: parts.ports.map(containerPort => ({ containerPort })) } : {}),
    ...(parts.stopTimeout ? { stopTimeout: parts.stopTimeout } : {}),
  });
  mysql.allowLogin(task.taskRole, user);
  return task;
}

interface Confined {
  readonly image: ContainerImage;
  /** In place of the image's own. */
  readonly entryPoint?: string[];
  readonly command: string[];
  readonly user: string;
  readonly logGroup: ILogGroup;
  readonly streamPrefix: string;
  readonly environment: Record<string, string>;
  readonly secrets: Record<string, Secret>;
  readonly healthCheck?: HealthCheck;
  readonly portMappings?: { readonly containerPort: number }[];
  readonly stopTimeout?: Duration;
}

/** The one container of a task: no root, no writing to its file system, an init process, an end that is waited for. */
export function confined(task: FargateTaskDefinition, parts: Confined): ContainerDefinition {
  const { logGroup, streamPrefix, ...given } = parts;
  const linuxParameters = new LinuxParameters(task, 'Linux', { initProcessEnabled: true });
  linuxParameters.dropCapabilities(Capability.ALL);
  const container = task.addContainer(CONTAINER, {
    stopTimeout: STOP_TIMEOUT,
    ...given,
    readonlyRootFilesystem: true,
    linuxParameters,
    logging: LogDriver.awsLogs({ logGroup, streamPrefix }),
  });
  Validations.of(task).acknowledge({
    id: 'AwsSolutions-ECS2',
    reason: 'The environment holds places and settings; what is secret comes from Secrets Manager.',
  });
  Validations.of(task.obtainExecutionRole()).acknowledge({
    id: 'AwsSolutions-IAM5[Resource::*]',
    reason:
      'ecr:GetAuthorizationToken is given for the account or not at all; pulling is allowed for the one repository.',
  });
  return container;
}
