/** The load balancer: HTTPS only, with access logs that end, and the rules by which paths lead to services. */
import { Duration, Stack, Validations } from 'aws-cdk-lib';
import { MathExpression, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { Peer, Port } from 'aws-cdk-lib/aws-ec2';
import {
  type ApplicationListener,
  ApplicationListenerRule,
  ApplicationLoadBalancer,
  ApplicationProtocol,
  type ApplicationTargetGroup,
  HttpCodeElb,
  ListenerAction,
  ListenerCertificate,
  ListenerCondition,
  SslPolicy,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { BlockPublicAccess, Bucket, BucketEncryption } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { type BalancerGroups, HTTPS_PORT, type Network, TEST_PORT } from './network.ts';
import type { BalancerOptions } from './options.ts';
import { shiftsRequests } from './rollout.ts';

export interface BalancerParts extends Pick<BalancerOptions, 'certificate' | 'reach' | 'deployment'> {
  readonly logRetentionDays: number;
}

/** Which requests a service gets. */
export interface Route {
  /** Rules are tried from the lowest. */
  readonly priority: number;
  readonly paths: string[];
}

interface Rules {
  readonly production: ApplicationListenerRule;
  /** For tests of a new version, before callers reach it. */
  readonly test: ApplicationListenerRule | undefined;
}

export const ALL_PATHS = ['/*'];
const MINUTE = Duration.minutes(1);
/**
 * Longest wait of the balancer for either side: above `Prefer: wait=50`, below the keep-alive of the API (75 s) and of fastify
 * (72 s). If a server closed an idle connection first, the balancer would answer 502 for the request that it sends then.
 */
const IDLE_TIMEOUT = Duration.seconds(60);

export class Balancer extends Construct {
  readonly loadBalancer: ApplicationLoadBalancer;
  readonly #https: ApplicationListener;
  readonly #test: ApplicationListener | undefined;

  constructor(scope: Construct, id: string, network: Network, groups: BalancerGroups, parts: BalancerParts) {
    super(scope, id);
    const { balancer } = groups;
    const isPublic = parts.reach === 'internet';
    this.loadBalancer = new ApplicationLoadBalancer(this, 'Balancer', {
      vpc: network.vpc,
      vpcSubnets: { subnets: isPublic ? network.vpc.publicSubnets : network.taskSubnets },
      internetFacing: isPublic,
      securityGroup: balancer,
      idleTimeout: IDLE_TIMEOUT,
      dropInvalidHeaderFields: true,
    });
    this.#keepAccessLogs(parts.logRetentionDays);
    // Nobody listens on port 80: a client that used it would have sent its key before it was sent to HTTPS.
    this.#https = this.#listen('Https', HTTPS_PORT, parts.certificate);
    if (shiftsRequests(parts.deployment)) this.#test = this.#listen('Test', TEST_PORT, parts.certificate);
    if (!isPublic) return;
    balancer.addIngressRule(Peer.anyIpv4(), Port.tcp(HTTPS_PORT), 'For everybody');
    Validations.of(balancer).acknowledge({
      id: 'AwsSolutions-EC23',
      reason: '"reach" is internet: the operator wants everybody to reach the balancer, on port 443.',
    });
  }

  /**
   * Sends these paths to a service. One service must have ALL_PATHS.
   * @param targetGroups the first one gets all requests until ECS shifts them to the second one, which not every service has
   */
  route(service: Construct, { priority, paths }: Route, targetGroups: ApplicationTargetGroup[]): Rules {
    const action = () =>
      ListenerAction.weightedForward(
        targetGroups.map((targetGroup, index) => ({ targetGroup, weight: index === 0 ? 1 : 0 })),
      );
    const rule = (name: string, listener: ApplicationListener) =>
      new ApplicationListenerRule(service, name, {
        listener,
        priority,
        conditions: [ListenerCondition.pathPatterns(paths)],
        action: action(),
      });
    // A listener needs a default, although the rule of that service leaves it nothing. It forwards too, since ECS shifts no
    // requests of listeners that also answer themselves.
    if (paths === ALL_PATHS)
      for (const listener of [this.#https, this.#test]) listener?.addAction('Rest', { action: action() });
    return {
      production: rule('Rule', this.#https),
      test: this.#test && rule('TestRule', this.#test),
    };
  }

  /** Percent of the requests that the balancer itself answered with 5xx, because it found no task, or none that answered. */
  errorPercent(): MathExpression {
    const sum = { statistic: Stats.SUM, period: MINUTE };
    return new MathExpression({
      // The balancer does not count requests for which it found no task.
      expression: '100 * FILL(errors, 0) / (FILL(requests, 0) + FILL(errors, 0))',
      usingMetrics: {
        errors: this.loadBalancer.metrics.httpCodeElb(HttpCodeElb.ELB_5XX_COUNT, sum),
        requests: this.loadBalancer.metrics.requestCount(sum),
      },
      period: MINUTE,
    });
  }

  #listen(id: string, port: number, certificate: string): ApplicationListener {
    return this.loadBalancer.addListener(id, {
      protocol: ApplicationProtocol.HTTPS,
      port,
      certificates: [ListenerCertificate.fromArn(certificate)],
      sslPolicy: SslPolicy.RECOMMENDED_TLS,
      open: false,
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
