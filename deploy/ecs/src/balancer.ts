/** The load balancer of the HTTP API: HTTPS only, with access logs that end. */
import { Duration, Stack, Validations } from 'aws-cdk-lib';
import { MathExpression, type Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { Peer, Port } from 'aws-cdk-lib/aws-ec2';
import type { FargateService } from 'aws-cdk-lib/aws-ecs';
import {
  ApplicationLoadBalancer,
  ApplicationProtocol,
  ApplicationTargetGroup,
  HttpCodeElb,
  HttpCodeTarget,
  ListenerCertificate,
  SslPolicy,
  TargetGroupLoadBalancingAlgorithmType,
  TargetType,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { BlockPublicAccess, Bucket, BucketEncryption } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { CONTAINER } from './container.ts';
import { API_PORT, type ApiGroups, HTTPS_PORT, METRICS_PORT, type Network } from './network.ts';
import type { ApiOptions } from './options.ts';

export interface BalancerParts extends Pick<ApiOptions, 'certificate' | 'reach'> {
  readonly service: FargateService;
  readonly idleTimeout: Duration;
  readonly deregistrationDelay: Duration;
  readonly logRetentionDays: number;
}

const MINUTE = Duration.minutes(1);

export class Balancer extends Construct {
  readonly loadBalancer: ApplicationLoadBalancer;
  readonly targetGroup: ApplicationTargetGroup;

  constructor(
    scope: Construct,
    id: string,
    network: Network & { readonly api: ApiGroups },
    parts: BalancerParts,
  ) {
    super(scope, id);
    const { balancer } = network.api;
    const isPublic = parts.reach === 'internet';
    this.loadBalancer = new ApplicationLoadBalancer(this, 'Balancer', {
      vpc: network.vpc,
      vpcSubnets: { subnets: isPublic ? network.vpc.publicSubnets : network.taskSubnets },
      internetFacing: isPublic,
      securityGroup: balancer,
      idleTimeout: parts.idleTimeout,
      dropInvalidHeaderFields: true,
    });
    this.#keepAccessLogs(parts.logRetentionDays);
    this.targetGroup = this.#targets(network, parts);
    // Nobody listens on port 80: a client that used it would have sent its key before it was sent to HTTPS.
    this.loadBalancer.addListener('Https', {
      protocol: ApplicationProtocol.HTTPS,
      port: HTTPS_PORT,
      certificates: [ListenerCertificate.fromArn(parts.certificate)],
      sslPolicy: SslPolicy.RECOMMENDED_TLS,
      open: false,
      defaultTargetGroups: [this.targetGroup],
    });
    if (!isPublic) return;
    balancer.addIngressRule(Peer.anyIpv4(), Port.tcp(HTTPS_PORT), 'The HTTP API, for everybody');
    Validations.of(balancer).acknowledge({
      id: 'AwsSolutions-EC23',
      reason: '"apiReach" is internet: the operator wants everybody to reach the balancer, on port 443.',
    });
  }

  /** Percent of the requests that were answered with 5xx, by a task or by the balancer itself. */
  errorPercent(): MathExpression {
    const sum = { statistic: Stats.SUM, period: MINUTE };
    return new MathExpression({
      // The balancer does not count requests for which it found no task.
      expression: '100 * (FILL(tasks, 0) + FILL(balancer, 0)) / (FILL(requests, 0) + FILL(balancer, 0))',
      usingMetrics: {
        tasks: this.loadBalancer.metrics.httpCodeTarget(HttpCodeTarget.TARGET_5XX_COUNT, sum),
        balancer: this.loadBalancer.metrics.httpCodeElb(HttpCodeElb.ELB_5XX_COUNT, sum),
        requests: this.loadBalancer.metrics.requestCount(sum),
      },
      period: MINUTE,
    });
  }

  healthyTasks(): Metric {
    return this.targetGroup.metrics.healthyHostCount({ statistic: Stats.MAXIMUM, period: MINUTE });
  }

  #targets({ vpc }: Network, { service, deregistrationDelay }: BalancerParts): ApplicationTargetGroup {
    return new ApplicationTargetGroup(this, 'Tasks', {
      vpc,
      targetType: TargetType.IP,
      protocol: ApplicationProtocol.HTTP,
      port: API_PORT,
      targets: [service.loadBalancerTarget({ containerName: CONTAINER, containerPort: API_PORT })],
      deregistrationDelay,
      // A stream of updates may take minutes, a read milliseconds.
      loadBalancingAlgorithmType: TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
      healthCheck: {
        path: '/readyz',
        port: String(METRICS_PORT),
        healthyHttpCodes: '200',
        interval: Duration.seconds(10),
        timeout: Duration.seconds(5),
        healthyThresholdCount: 2,
        // ECS replaces what is unhealthy here. A failover of Redis takes less than this minute, and needs no new tasks.
        unhealthyThresholdCount: 6,
      },
    });
  }

  #keepAccessLogs(days: number): void {
    const bucket = new Bucket(this, 'AccessLogs', {
      encryption: BucketEncryption.S3_MANAGED,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      enforceSSL: true,
      lifecycleRules: [
        { expiration: Duration.days(days), abortIncompleteMultipartUploadAfter: Duration.days(1) },
      ],
    });
    // Not by logAccessLogs, which wants to know the region when the template is made.
    bucket.addToResourcePolicy(
      new PolicyStatement({
        principals: [new ServicePrincipal('logdelivery.elasticloadbalancing.amazonaws.com')],
        actions: ['s3:PutObject'],
        resources: [bucket.arnForObjects(`AWSLogs/${Stack.of(this).account}/*`)],
      }),
    );
    this.loadBalancer.setAttribute('access_logs.s3.enabled', 'true');
    this.loadBalancer.setAttribute('access_logs.s3.bucket', bucket.bucketName);
    this.loadBalancer.node.addDependency(bucket);
    Validations.of(bucket).acknowledge({
      id: 'AwsSolutions-S1',
      reason: 'It holds access logs; logs of who reads them would need logs of their own.',
    });
  }
}
