/** What must hold of the example shop in a deployment, and of each way in which a new version takes over. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { it } from 'node:test';
import { Match, type Template } from 'aws-cdk-lib/assertions';
import { AwsSolutionsChecks } from 'cdk-nag';
import { HTTPS_PORT, METRICS_PORT, REDIS_PORT, SHOP_PORT, TEST_PORT } from '../src/network.ts';
import {
  CERTIFICATE,
  type ContainerProperties,
  containersOf,
  deployment,
  environment,
  existing,
  HOOK,
  openings,
  propertiesOf,
} from './deployment.ts';

const SHOP_IMAGE = 'example/shop:0.1.0';
const shop = { shopImage: SHOP_IMAGE, certificate: CERTIFICATE };
const both = { ...shop, api: 'yes' };
const canary = { deployment: 'canary', deploymentHook: HOOK, reach: 'internet' };

const made = deployment({ ...both, redisEngine: 'redis' });
const shifted = {
  blueGreen: deployment({ ...shop, deployment: 'blueGreen' }),
  canary: deployment({ ...both, ...canary }),
};
const { template } = made;
const programs = containersOf(template).filter(({ Image }) => Image === SHOP_IMAGE);
const ofProgram = (name: string) => programs.find(({ Command }) => Command[1] === `src/${name}.ts`)!;
const secretsOf = ({ Secrets }: ContainerProperties) => Secrets as { Name: string; ValueFrom: unknown }[];

interface Service {
  LoadBalancers?: { ContainerPort: number; AdvancedConfiguration?: Record<string, { Ref: string }> }[];
  DeploymentConfiguration: Record<string, unknown> & { Alarms: { AlarmNames: { Ref: string }[] } };
  DesiredCount?: number;
}
interface Action {
  Type: string;
  ForwardConfig: { TargetGroups: { TargetGroupArn: { Ref: string }; Weight: number }[] };
}
interface Rule {
  ListenerArn: { Ref: string };
  Priority: number;
  Conditions: { PathPatternConfig: { Values: string[] } }[];
  Actions: Action[];
}
const services = (of: Template) => propertiesOf(of, 'AWS::ECS::Service') as unknown as Service[];
const serviceAt = (of: Template, port: number) =>
  services(of).find(({ LoadBalancers }) => LoadBalancers?.[0]?.ContainerPort === port)!;
const rules = (of: Template) =>
  Object.entries(of.findResources('AWS::ElasticLoadBalancingV2::ListenerRule')).map(
    ([id, { Properties }]) => ({
      id,
      ...(Properties as Rule),
    }),
  );
const groupName = (group: unknown) => /"Network(\w+)[0-9A-F]{8}"/.exec(JSON.stringify(group))?.[1];

it('breaks no rule of AWS Solutions, alone or with the API, however new versions take over', () => {
  const existingNetwork = {
    ...existing,
    vpcCidr: '10.9.0.0/16',
    size: 'large',
    scrapeFrom: 'sg-0123456789abcdef0',
  };
  for (const { app } of [
    made,
    shifted.blueGreen,
    shifted.canary,
    deployment({ ...shop, ...existingNetwork }),
  ])
    assert.deepEqual(new AwsSolutionsChecks(app).validateScope(app).violations, []);
});

it('leads the paths of the API to it and all others to the shop, on one balancer', () => {
  template.resourceCountIs('AWS::ElasticLoadBalancingV2::LoadBalancer', 1);
  const routes = rules(template)
    .sort((one, other) => one.Priority - other.Priority)
    .map(({ Conditions, Actions }) => [
      Conditions[0]!.PathPatternConfig.Values,
      /(Api|Shop)Web/.exec(Actions[0]!.ForwardConfig.TargetGroups[0]!.TargetGroupArn.Ref)![1],
    ]);
  assert.deepEqual(routes, [
    [['/v1/*'], 'Api'],
    [['/*'], 'Shop'],
  ]);
  assert.deepEqual(
    rules(deployment(shop).template).map(({ Conditions }) => Conditions[0]!.PathPatternConfig.Values),
    [['/*']],
  );
});

it('gives the cache a Redis of its own, which evicts and which only the shop reaches', () => {
  const policies = propertiesOf(template, 'AWS::ElastiCache::ParameterGroup').map(
    ({ Properties }) => (Properties as Record<string, string>)['maxmemory-policy'],
  );
  assert.deepEqual(policies.toSorted(), ['allkeys-lru', 'noeviction']);
  const given = environment(ofProgram('main'));
  assert.match(JSON.stringify(given.CACHE_REDIS_URL), /rediss:.*FrontShopCache/);
  assert.doesNotMatch(JSON.stringify(given.REDIS_URL), /Cache/);
  const intoCache = openings(template).filter(({ GroupId }) => groupName(GroupId) === 'Cache');
  assert.deepEqual(
    intoCache.map(({ FromPort, SourceSecurityGroupId }) => [FromPort, groupName(SourceSecurityGroupId)]),
    [[REDIS_PORT, 'Shop']],
  );
});

it('starts the programs of the shop with settings that it reads, and with secrets as secrets only', () => {
  assert.deepEqual(programs.map(({ Command }) => Command[1]).toSorted(), [
    'src/jobs.ts',
    'src/main.ts',
    'src/migrate.ts',
  ]);
  const inShop = (path: string) => new URL(`../../../examples/shop/${path}`, import.meta.url);
  for (const { Command } of programs) assert.ok(existsSync(inShop(Command[1]!)), Command[1]);
  const settings = readFileSync(inShop('src/settings.ts'), 'utf8');
  const secrets = ['REDIS_PASSWORD', 'CACHE_REDIS_PASSWORD', 'MYSQL_PASSWORD', 'SESSION_SECRET', 'ADMIN_KEY'];
  for (const program of programs) {
    assert.equal(program.ReadonlyRootFilesystem, true);
    assert.equal(program.User, 'node');
    for (const name of Object.keys(environment(program)))
      assert.match(settings, new RegExp(`environment\\.${name}\\b`), name);
  }
  for (const name of ['main', 'jobs'])
    assert.deepEqual(
      secretsOf(ofProgram(name)).map(({ Name }) => Name),
      secrets,
    );
  for (const name of secrets) assert.match(settings, new RegExp(`(secret|password)\\('${name}'\\)`), name);
  const given = environment(ofProgram('main'));
  assert.deepEqual([given.HOST, given.PORT, given.SECURE_COOKIES], ['0.0.0.0', String(SHOP_PORT), '1']);
  assert.match(JSON.stringify(given.TRUSTED_PROXIES), /^\{"Fn::GetAtt":\["NetworkVpc\w+","CidrBlock"\]\}$/);
  const worker = environment(containersOf(template).find(({ Command }) => Command[0] === 'worker')!);
  for (const same of ['SLUICE_NAMESPACE', 'SLUICE_PARTITIONS', 'REDIS_URL'])
    assert.deepEqual(given[same], worker[same], same);
});

it('logs in to the proxy as its own user with a password, over TLS, and nobody else does', () => {
  const [proxy] = propertiesOf(template, 'AWS::RDS::DBProxy');
  const auth = (
    proxy!.Auth as { IAMAuth: string; SecretArn: unknown; ClientPasswordAuthType?: string }[]
  ).map(({ IAMAuth, SecretArn, ClientPasswordAuthType }) => [
    /Password([a-z]+)/.exec(JSON.stringify(SecretArn))![1],
    IAMAuth,
    ClientPasswordAuthType,
  ]);
  assert.deepEqual(auth, [
    ['sluice', 'REQUIRED', undefined],
    ['sluicemigrate', 'REQUIRED', undefined],
    ['shop', 'DISABLED', 'MYSQL_CACHING_SHA2_PASSWORD'],
  ]);
  assert.equal(proxy!.RequireTLS, true);
  for (const name of ['main', 'jobs']) {
    const given = environment(ofProgram(name));
    assert.match(JSON.stringify(given.MYSQL_URL), /mysql:\/\/shop@.*Proxy.*Endpoint/);
    assert.equal(given.MYSQL_TLS, 'rds');
  }
  const password = secretsOf(ofProgram('main')).find(({ Name }) => Name === 'MYSQL_PASSWORD')!;
  assert.match(JSON.stringify(password.ValueFrom), /MysqlPasswordshop.*:password::/);
});

it('makes the user and the tables of the shop by hand, at the instance', () => {
  const users = containersOf(template).find(({ EntryPoint }) => EntryPoint !== undefined)!;
  assert.equal(environment(users).SHOP_USER, 'shop');
  assert.ok(secretsOf(users).some(({ Name }) => Name === 'SHOP_PASSWORD'));
  const { MYSQL_URL, MYSQL_TLS } = environment(ofProgram('migrate'));
  assert.match(JSON.stringify(MYSQL_URL), /mysql:\/\/sluice_migrate@.*MysqlInstance\w+","Endpoint.Address/);
  assert.equal(MYSQL_TLS, 'rds');
  const { ShopMigrateCommand, ShopCommand } = template.toJSON().Outputs;
  assert.match(JSON.stringify(ShopMigrateCommand.Value), /ShopMigrate.*NetworkAdministration/);
  const overrides = /--overrides '(.*)'/.exec(ShopCommand.Value['Fn::Join'][1].at(-1))![1]!;
  assert.deepEqual(JSON.parse(overrides).containerOverrides, [
    { name: ofProgram('main').Name, command: ['node', 'src/seed.ts'] },
  ]);
});

it('starts no task before there are tables, on request', () => {
  const { template: empty } = deployment({ ...shop, minShopTasks: '0', minWorkers: '0' });
  assert.deepEqual(
    services(empty).map(({ DesiredCount }) => DesiredCount),
    [0, 0, 0],
  );
  assert.equal(serviceAt(template, SHOP_PORT).DesiredCount, undefined);
});

it('replaces no task of the shop because one of its servers is away', () => {
  const groups = propertiesOf(template, 'AWS::ElasticLoadBalancingV2::TargetGroup');
  const { HealthCheckPath, Matcher } = groups.find(({ Port }) => Port === SHOP_PORT)!;
  assert.deepEqual([HealthCheckPath, Matcher], ['/health', { HttpCode: '200,503' }]);
  for (const [name, url] of [
    ['main', `http://127.0.0.1:${SHOP_PORT}/health`],
    ['jobs', `http://127.0.0.1:${METRICS_PORT}`],
  ] as const) {
    const { Command } = ofProgram(name).HealthCheck as { Command: string[] };
    // Any answer will do.
    assert.deepEqual(Command, [
      'CMD',
      'node',
      '--eval',
      `fetch('${url}').then(() => process.exit(0), () => process.exit(1))`,
    ]);
  }
});

it('rolls by default, and takes back what does not start', () => {
  const { LoadBalancers, DeploymentConfiguration } = serviceAt(template, SHOP_PORT);
  assert.equal(LoadBalancers![0]!.AdvancedConfiguration, undefined);
  assert.equal(DeploymentConfiguration.Strategy, 'ROLLING');
  assert.deepEqual(DeploymentConfiguration.DeploymentCircuitBreaker, { Enable: true, Rollback: true });
  template.resourceCountIs('AWS::ElasticLoadBalancingV2::Listener', 1);
  template.resourceCountIs('AWS::ElasticLoadBalancingV2::TargetGroup', 2);
});

it('lets workers and jobs roll, whatever the services behind the balancer do', () => {
  const others = services(shifted.canary.template).filter(({ LoadBalancers }) => LoadBalancers === undefined);
  assert.equal(others.length, 2);
  for (const { DeploymentConfiguration } of others) {
    assert.equal(DeploymentConfiguration.Strategy, undefined);
    assert.deepEqual(DeploymentConfiguration.DeploymentCircuitBreaker, { Enable: true, Rollback: true });
  }
});

it('shifts requests between two target groups, which the rules of both listeners name', () => {
  for (const [name, { template: of }] of Object.entries(shifted)) {
    const { LoadBalancers, DeploymentConfiguration } = serviceAt(of, SHOP_PORT);
    const { Strategy, BakeTimeInMinutes, DeploymentCircuitBreaker } = DeploymentConfiguration;
    assert.deepEqual([Strategy, BakeTimeInMinutes], [name === 'canary' ? 'CANARY' : 'BLUE_GREEN', 15]);
    // ECS has it for rolling deployments only.
    assert.equal(DeploymentCircuitBreaker, undefined);
    const { AlternateTargetGroupArn, ProductionListenerRule, TestListenerRule } =
      LoadBalancers![0]!.AdvancedConfiguration!;
    for (const [rule, listener] of [
      [ProductionListenerRule, 'Https'],
      [TestListenerRule, 'Test'],
    ] as const) {
      const { ListenerArn, Actions } = rules(of).find(({ id }) => id === rule!.Ref)!;
      assert.match(ListenerArn.Ref, new RegExp(`^FrontBalancer${listener}[0-9A-F]`));
      const [old, next] = Actions[0]!.ForwardConfig.TargetGroups;
      assert.deepEqual([old!.Weight, next!.Weight], [1, 0]);
      assert.deepEqual(next!.TargetGroupArn, AlternateTargetGroupArn);
    }
    // ECS refuses listeners that do anything else.
    const listeners = propertiesOf(of, 'AWS::ElasticLoadBalancingV2::Listener') as {
      DefaultActions: Action[];
    }[];
    for (const { Type } of listeners.flatMap(({ DefaultActions }) => DefaultActions))
      assert.equal(Type, 'forward');
    of.hasResourceProperties('AWS::IAM::Role', {
      AssumeRolePolicyDocument: {
        Statement: [Match.objectLike({ Principal: { Service: 'ecs.amazonaws.com' } })],
      },
      ManagedPolicyArns: [
        {
          'Fn::Join': [
            '',
            Match.arrayWith([Match.stringLikeRegexp('InfrastructureRolePolicyForLoadBalancers')]),
          ],
        },
      ],
    });
  }
});

it('shows a new version at the test port to services of ours only, even if everybody reaches the balancer', () => {
  for (const { template: of } of Object.values(shifted)) {
    const intoTest = openings(of).filter(({ FromPort }) => FromPort === TEST_PORT);
    assert.deepEqual(
      intoTest.map(({ SourceSecurityGroupId }) => groupName(SourceSecurityGroupId)),
      ['Clients'],
    );
    assert.deepEqual(
      propertiesOf(of, 'AWS::ElasticLoadBalancingV2::Listener').map(({ Port, Protocol }) => [Port, Protocol]),
      [
        [HTTPS_PORT, 'HTTPS'],
        [TEST_PORT, 'HTTPS'],
      ],
    );
  }
  assert.deepEqual(
    openings(template).filter(({ FromPort }) => FromPort === TEST_PORT),
    [],
  );
});

it('asks a function of the operator about a new version before requests reach it, and may call that one only', () => {
  const { LifecycleHooks } = serviceAt(shifted.canary.template, SHOP_PORT).DeploymentConfiguration;
  const [hook, ...more] = LifecycleHooks as { HookTargetArn: string; LifecycleStages: string[] }[];
  assert.deepEqual(more, []);
  assert.deepEqual([hook!.HookTargetArn, hook!.LifecycleStages], [HOOK, ['POST_TEST_TRAFFIC_SHIFT']]);
  const calls = propertiesOf(shifted.canary.template, 'AWS::IAM::Policy')
    .flatMap(({ PolicyDocument }) => (PolicyDocument as { Statement: Record<string, unknown>[] }).Statement)
    .filter(({ Action: action }) => action === 'lambda:InvokeFunction');
  assert.ok(calls.length > 0);
  for (const { Resource } of calls) assert.equal(Resource, HOOK);
  assert.equal(
    serviceAt(shifted.blueGreen.template, SHOP_PORT).DeploymentConfiguration.LifecycleHooks,
    undefined,
  );
});

it('takes a new version back by alarms on either target group, while there is time to', () => {
  const of = shifted.canary.template;
  const { DeploymentConfiguration } = serviceAt(of, SHOP_PORT);
  const { Alarms, BakeTimeInMinutes, CanaryConfiguration } = DeploymentConfiguration;
  assert.deepEqual(CanaryConfiguration, { CanaryPercent: 10, CanaryBakeTimeInMinutes: 10 });
  assert.deepEqual(
    Alarms.AlarmNames.map(({ Ref }) => /^Alarms(\w+)[0-9A-F]{8}$/.exec(Ref)![1]),
    ['ShopErrors', 'ShopErrorsNew', 'ShopSlow', 'ShopSlowNew', 'BalancerErrors', 'FlushLag'],
  );
  const alarms = of.findResources('AWS::CloudWatch::Alarm');
  const measured = Alarms.AlarmNames.map(({ Ref }) => alarms[Ref]!.Properties);
  for (const { EvaluationPeriods, Metrics, Period } of measured) {
    assert.equal(Period ?? Metrics.at(-1).MetricStat.Period, 60);
    // CloudWatch has the figures of the balancer some minutes late.
    for (const minutes of [BakeTimeInMinutes, 10]) assert.ok(EvaluationPeriods + 3 < Number(minutes));
  }
  const group = (alarm: unknown) => /"(FrontShopWeb\w*Tasks)[0-9A-F]{8}"/.exec(JSON.stringify(alarm))?.[1];
  assert.deepEqual(measured.slice(0, 4).map(group), [
    'FrontShopWebTasks',
    'FrontShopWebNewTasks',
    'FrontShopWebTasks',
    'FrontShopWebNewTasks',
  ]);
  of.hasResourceProperties('AWS::CloudWatch::Alarm', {
    AlarmName: 'Sluice-ShopSlow',
    MetricName: 'TargetResponseTime',
    ExtendedStatistic: 'p99',
    Threshold: 1,
  });
  // A caller of the API may ask to wait for 50 seconds.
  assert.ok(!Object.keys(alarms).some(id => id.startsWith('AlarmsApiSlow')));
});

it('scales on requests and CPU if it rolls, on CPU alone if the target group changes', () => {
  const tracked = (of: Template) =>
    propertiesOf(of, 'AWS::ApplicationAutoScaling::ScalingPolicy').flatMap(
      ({ TargetTrackingScalingPolicyConfiguration: tracking }) =>
        tracking === undefined
          ? []
          : (tracking as { PredefinedMetricSpecification: { PredefinedMetricType: string } })
              .PredefinedMetricSpecification.PredefinedMetricType,
    );
  assert.deepEqual(tracked(shifted.blueGreen.template), ['ECSServiceAverageCPUUtilization']);
  assert.equal(tracked(template).filter(type => type === 'ALBRequestCountPerTarget').length, 2);
});

it('refuses options that need the shop, and a shop that has no certificate', () => {
  for (const [context, message] of [
    [{ shopImage: SHOP_IMAGE }, /"certificate" must be the ARN/],
    [{ minShopTasks: '2' }, /"minShopTasks" needs "shopImage"/],
    [{ ...shop, minShopTasks: '4', maxShopTasks: '3' }, /"maxShopTasks" must be a whole number from 4/],
    [{ deployment: 'canary' }, /"deployment" needs "api" or "shopImage"/],
  ] as const)
    assert.throws(() => deployment(context as Record<string, string>), message);
});
