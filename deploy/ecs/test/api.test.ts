/** What must hold of the HTTP API in a deployment that has one, said of the template that CloudFormation gets. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Match, type Template } from 'aws-cdk-lib/assertions';
import { AwsSolutionsChecks } from 'cdk-nag';
import { API_PORT, HTTPS_PORT, METRICS_PORT } from '../src/network.ts';
import {
  CERTIFICATE,
  containersOf,
  deployment,
  environment,
  existing,
  HOOK,
  openings,
  propertiesOf,
} from './deployment.ts';

const PROMETHEUS = 'sg-0123456789abcdef0';
const given = { api: 'yes', certificate: CERTIFICATE };
const inside = { ...existing, vpcCidr: '10.9.0.0/16' };
const outside = {
  publicSubnetIds: 'subnet-0123456789abcdef2,subnet-0123456789abcdef3',
  reach: 'internet',
};

const made = deployment(given);
const { template } = made;
const opened = deployment({ ...given, reach: 'internet', scrapeFrom: PROMETHEUS });
const { template: open } = opened;
const ofCommand = (of: Template, command: string) =>
  containersOf(of).find(({ Command }) => Command[0] === command)!;
const serving = ofCommand(template, 'serve');
const only = (type: string, of = template) => {
  const [found, ...more] = propertiesOf(of, type);
  assert.deepEqual(more, [], type);
  return found!;
};
const attributes = (list: unknown) =>
  Object.fromEntries((list as { Key: string; Value: unknown }[]).map(({ Key, Value }) => [Key, Value]));
const balancing = () => attributes(only('AWS::ElasticLoadBalancingV2::LoadBalancer').LoadBalancerAttributes);
const targets = () => only('AWS::ElasticLoadBalancingV2::TargetGroup');
const milliseconds = (name: string) => Number(environment(serving)[name]);

it('breaks no rule of AWS Solutions, in either network, with either reach', () => {
  const inNetwork = deployment({ ...given, ...inside, ...outside });
  for (const { app } of [made, opened, inNetwork])
    assert.deepEqual(new AwsSolutionsChecks(app).validateScope(app).violations, []);
});

it('makes nothing of it unless it is asked for', () => {
  const { template: without } = deployment();
  for (const type of ['ElasticLoadBalancingV2::LoadBalancer', 'WAFv2::WebACL', 'S3::Bucket'])
    without.resourceCountIs(`AWS::${type}`, 0);
  without.resourceCountIs('AWS::ECS::Service', 1);
  assert.ok(!/Api|Address/.test(Object.keys(without.toJSON().Outputs).join()));
});

it('answers on HTTPS only, with the certificate that is given', () => {
  const { Port, Protocol, Certificates, SslPolicy } = only('AWS::ElasticLoadBalancingV2::Listener');
  assert.deepEqual([Port, Protocol, Certificates], [HTTPS_PORT, 'HTTPS', [{ CertificateArn: CERTIFICATE }]]);
  assert.match(String(SslPolicy), /TLS13-1-2/);
  assert.equal(balancing()['routing.http.drop_invalid_header_fields.enabled'], 'true');
});

it('asks /readyz on the health port, and ECS asks whether the process answers', () => {
  const { HealthCheckPath, HealthCheckPort, Matcher, Port, TargetType } = targets();
  assert.deepEqual(
    [HealthCheckPath, HealthCheckPort, Matcher, Port, TargetType],
    ['/readyz', String(METRICS_PORT), { HttpCode: '200' }, API_PORT, 'ip'],
  );
  const { SLUICE_API_HOST, SLUICE_API_PORT, SLUICE_HTTP_HOST, SLUICE_HTTP_PORT } = environment(serving);
  assert.deepEqual([SLUICE_API_HOST, SLUICE_API_PORT], ['0.0.0.0', String(API_PORT)]);
  assert.deepEqual([SLUICE_HTTP_HOST, SLUICE_HTTP_PORT], ['0.0.0.0', String(METRICS_PORT)]);
  assert.equal((serving.HealthCheck as { Command: string[] }).Command.at(-1), 'health');
});

it('lets an open request end before the task is killed or the balancer gives up', () => {
  const drain = milliseconds('SLUICE_DRAIN_MS');
  const deadline = milliseconds('SLUICE_SHUTDOWN_DEADLINE_MS');
  const deregistration =
    Number(attributes(targets().TargetGroupAttributes)['deregistration_delay.timeout_seconds']) * 1000;
  // The longest that a client may ask for is "Prefer: wait=50".
  assert.ok(deadline > 50_000);
  assert.equal(deregistration, drain + deadline);
  // What is buffered is sent after the deadline.
  assert.ok(Number(serving.StopTimeout) * 1000 >= drain + deadline + 5000);
  assert.ok(Number(serving.StopTimeout) <= 120);
});

it('lets the balancer close an idle connection before the server does', () => {
  const idle = Number(balancing()['idle_timeout.timeout_seconds']) * 1000;
  assert.ok(idle > 50_000);
  assert.ok(idle < milliseconds('SLUICE_API_KEEP_ALIVE_MS'));
  assert.ok(idle < milliseconds('SLUICE_API_IDLE_MS'));
});

it('believes X-Forwarded-For from the addresses of the network only', () => {
  const proxies = environment(serving).SLUICE_TRUSTED_PROXIES;
  assert.match(JSON.stringify(proxies), /^\{"Fn::GetAtt":\["NetworkVpc\w+","CidrBlock"\]\}$/);
  const { template: within } = deployment({ ...given, ...inside });
  assert.equal(environment(ofCommand(within, 'serve')).SLUICE_TRUSTED_PROXIES, '10.9.0.0/16');
});

it('is open to services with its group, or to everybody on request, and its tasks to the balancer and Prometheus', () => {
  assert.equal(only('AWS::ElasticLoadBalancingV2::LoadBalancer').Scheme, 'internal');
  assert.deepEqual(
    openings(template).filter(({ CidrIp, CidrIpv6 }) => CidrIp !== undefined || CidrIpv6 !== undefined),
    [],
  );
  assert.equal(only('AWS::ElasticLoadBalancingV2::LoadBalancer', open).Scheme, 'internet-facing');
  assert.deepEqual(
    openings(open)
      .filter(({ CidrIp }) => CidrIp !== undefined)
      .map(({ CidrIp, FromPort }) => [CidrIp, FromPort]),
    [['0.0.0.0/0', HTTPS_PORT]],
  );
  const intoTasks = openings(open).flatMap(({ FromPort, GroupId, SourceSecurityGroupId }) =>
    nameOf(GroupId) === 'Api' ? [[FromPort, SourceSecurityGroupId] as const] : [],
  );
  const from = intoTasks.map(([port, source]) => [port, source === PROMETHEUS ? source : nameOf(source)]);
  assert.deepEqual(from.toSorted(), [
    [API_PORT, 'Balancer'],
    [METRICS_PORT, 'Balancer'],
    [METRICS_PORT, PROMETHEUS],
  ]);
});

function nameOf(group: unknown): string | undefined {
  return /"Network(\w+)[0-9A-F]{8}"/.exec(JSON.stringify(group))?.[1];
}

it('runs as the workers do: no root, no writing, a login by token, one secret', () => {
  const worker = ofCommand(template, 'worker');
  for (const same of ['User', 'ReadonlyRootFilesystem', 'LinuxParameters', 'Secrets', 'Image', 'HealthCheck'])
    assert.deepEqual(serving[same], worker[same], same);
  const [ours, theirs] = [environment(serving), environment(worker)];
  for (const same of ['MYSQL_URL', 'MYSQL_IAM_AUTH', 'REDIS_URL', 'SLUICE_NAMESPACE', 'SLUICE_PARTITIONS'])
    assert.deepEqual(ours[same], theirs[same], same);
  const logins = propertiesOf(template, 'AWS::IAM::Policy')
    .map(({ PolicyDocument }) => JSON.stringify(PolicyDocument))
    .filter(document => document.includes('rds-db:connect') && document.includes('"/sluice"'));
  assert.equal(logins.length, 2);
});

it('limits each address, and blocks no update because of what its key says', () => {
  const { Scope, DefaultAction, Rules, VisibilityConfig, CustomResponseBodies } = only('AWS::WAFv2::WebACL');
  assert.deepEqual([Scope, DefaultAction], ['REGIONAL', { Allow: {} }]);
  const [rate, common] = Rules as [
    { Statement: { RateBasedStatement: unknown }; Action: { Block: { CustomResponse: unknown } } },
    {
      Statement: {
        ManagedRuleGroupStatement: { Name: string; RuleActionOverrides: Record<string, unknown>[] };
      };
      OverrideAction: unknown;
    },
  ];
  assert.deepEqual(rate.Statement.RateBasedStatement, {
    AggregateKeyType: 'IP',
    Limit: 300_000,
    EvaluationWindowSec: 300,
  });
  assert.equal((rate.Action.Block.CustomResponse as { ResponseCode: number }).ResponseCode, 429);
  assert.match(JSON.stringify(CustomResponseBodies), /RATE_LIMITED/);
  const { Name, RuleActionOverrides } = common.Statement.ManagedRuleGroupStatement;
  assert.equal(Name, 'AWSManagedRulesCommonRuleSet');
  assert.deepEqual(common.OverrideAction, { None: {} });
  // Only rules on bodies and queries, where keys are, and a missing User-Agent: all others block.
  for (const { Name: rule, ActionToUse } of RuleActionOverrides) {
    assert.match(String(rule), /_(BODY|QUERYARGUMENTS|QUERYSTRING)$|^NoUserAgent_HEADER$/);
    assert.deepEqual(ActionToUse, { Count: {} });
  }
  const seen = [
    VisibilityConfig,
    ...(Rules as { VisibilityConfig: unknown }[]).map(each => each.VisibilityConfig),
  ];
  for (const each of seen)
    assert.equal((each as { SampledRequestsEnabled: boolean }).SampledRequestsEnabled, false);
  template.hasResourceProperties('AWS::WAFv2::WebACLAssociation', {
    ResourceArn: { Ref: Match.stringLikeRegexp('^FrontBalancer') },
    WebACLArn: { 'Fn::GetAtt': [Match.stringLikeRegexp('^FrontFirewall'), 'Arn'] },
  });
});

it('keeps access logs for a time that ends, in a bucket that only the balancer writes to', () => {
  const { 'access_logs.s3.enabled': enabled, 'access_logs.s3.bucket': bucket } = balancing();
  assert.equal(enabled, 'true');
  assert.match(JSON.stringify(bucket), /AccessLogs/);
  const { LifecycleConfiguration } = only('AWS::S3::Bucket');
  assert.equal(
    (LifecycleConfiguration as { Rules: { ExpirationInDays: number }[] }).Rules[0]!.ExpirationInDays,
    30,
  );
  const { Statement } = only('AWS::S3::BucketPolicy').PolicyDocument as {
    Statement: { Effect: string; Action: string; Resource: unknown; Principal: unknown }[];
  };
  const [writing, ...more] = Statement.filter(({ Effect }) => Effect === 'Allow');
  assert.deepEqual(more, []);
  assert.equal(writing!.Action, 's3:PutObject');
  assert.deepEqual(writing!.Principal, { Service: 'logdelivery.elasticloadbalancing.amazonaws.com' });
  assert.match(
    JSON.stringify(writing!.Resource),
    /^\{"Fn::Join":\["",\[\{"Fn::GetAtt":\["\w+","Arn"\]\},"\/AWSLogs\/",\{"Ref":"AWS::AccountId"\},"\/\*"\]\]\}$/,
  );
});

it('scales on requests of a task and on CPU', () => {
  const { template: wide } = deployment({ ...given, size: 'medium', minApiTasks: '3', maxApiTasks: '20' });
  wide.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', {
    MinCapacity: 3,
    MaxCapacity: 20,
  });
  const tracked = propertiesOf(wide, 'AWS::ApplicationAutoScaling::ScalingPolicy').flatMap(
    ({ TargetTrackingScalingPolicyConfiguration: tracking }) => (tracking === undefined ? [] : [tracking]),
  ) as { PredefinedMetricSpecification: { PredefinedMetricType: string }; TargetValue: number }[];
  assert.deepEqual(
    tracked.map(({ PredefinedMetricSpecification, TargetValue }) => [
      PredefinedMetricSpecification.PredefinedMetricType,
      TargetValue,
    ]),
    [
      // Requests in a minute.
      ['ALBRequestCountPerTarget', 60_000],
      ['ECSServiceAverageCPUUtilization', 50],
    ],
  );
});

it('wakes somebody up for errors and for no tasks, and rolls back what answers with errors', () => {
  template.hasResourceProperties('AWS::CloudWatch::Alarm', {
    AlarmName: 'Sluice-ApiNoTasks',
    MetricName: 'HealthyHostCount',
    TreatMissingData: 'breaching',
  });
  for (const AlarmName of ['Sluice-ApiErrors', 'Sluice-BalancerErrors'])
    template.hasResourceProperties('AWS::CloudWatch::Alarm', { AlarmName, Threshold: 1 });
  template.hasResourceProperties('AWS::ECS::Service', {
    DesiredCount: Match.absent(),
    LoadBalancers: [{ ContainerName: serving.Name, ContainerPort: API_PORT }],
    DeploymentConfiguration: {
      MinimumHealthyPercent: 100,
      DeploymentCircuitBreaker: { Enable: true, Rollback: true },
      Alarms: {
        AlarmNames: ['ApiErrors', 'BalancerErrors', 'FlushLag'].map(name => ({
          Ref: Match.stringLikeRegexp(`^Alarms${name}`),
        })),
        Enable: true,
        Rollback: true,
      },
    },
    NetworkConfiguration: { AwsvpcConfiguration: { AssignPublicIp: 'DISABLED' } },
  });
});

it('refuses options that cannot work', () => {
  for (const [context, message] of [
    [{ reach: 'internet' }, /"reach" needs "api" or "shopImage"/],
    [{ api: 'yes' }, /"certificate" must be the ARN/],
    [{ ...given, certificate: 'my-certificate' }, /"certificate" must be the ARN/],
    [{ ...given, reach: 'world' }, /"reach" must be one of vpc, internet/],
    [{ ...given, minApiTasks: '4', maxApiTasks: '3' }, /"maxApiTasks" must be a whole number from 4/],
    [{ maxApiTasks: '3' }, /"maxApiTasks" needs "api"/],
    [{ ...given, ...existing }, /needs "vpcCidr"/],
    [{ ...given, ...existing, vpcCidr: '10.0.0.0' }, /"vpcCidr" must be a network/],
    [{ ...given, ...inside, reach: 'internet' }, /needs "publicSubnetIds"/],
    [{ ...inside, publicSubnetIds: 'subnet-0123456789abcdef2' }, /one subnet for each/],
    [{ ...given, deployment: 'linear' }, /"deployment" must be one of rolling, blueGreen, canary/],
    [{ ...given, deploymentHook: HOOK }, /"deploymentHook" needs "deployment" blueGreen or canary/],
    [{ ...given, deployment: 'canary', deploymentHook: 'check' }, /must be the ARN of a function/],
  ] as const)
    assert.throws(() => deployment(context as Record<string, string>), message);
});
