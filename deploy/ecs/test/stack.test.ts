/** What must hold of a deployment, said of the template that CloudFormation gets. Needs no account and no network. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { Match } from 'aws-cdk-lib/assertions';
import { AwsSolutionsChecks } from 'cdk-nag';
import { METRICS_PORT } from '../src/network.ts';
import { sizes } from '../src/options.ts';
import { USERS_ENTRY_POINT, USERS_SCRIPT } from '../src/users-command.ts';
import {
  containersOf,
  deployment,
  environment,
  existing,
  IMAGE,
  openings,
  propertiesOf,
} from './deployment.ts';

const ECR_IMAGE = '111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/sluice:0.1.0';

const made = deployment();
const { template } = made;
const properties = (type: string) => propertiesOf(template, type);
const containers = containersOf(template);
const ofCommand = (command: string) => containers.find(({ Command }) => Command[0] === command)!;

it('breaks no rule of AWS Solutions, in any size, with either engine, in either network', () => {
  const [small, ...others] = Object.keys(sizes);
  assert.equal(small, 'small', 'the default');
  const apps = [
    made,
    ...others.map(size => deployment({ size, redisEngine: 'redis', image: ECR_IMAGE })),
    deployment({ ...existing, alarmEmail: 'on-call@example.com', scrapeFrom: 'sg-0123456789abcdef0' }),
  ];
  for (const { app } of apps) assert.deepEqual(new AwsSolutionsChecks(app).validateScope(app).violations, []);
});

it('runs every container without root, without writing, with an init process', () => {
  assert.equal(containers.length, 3);
  for (const container of containers) {
    assert.equal(container.ReadonlyRootFilesystem, true);
    assert.equal(container.User, 'node');
    assert.deepEqual(container.LinuxParameters, {
      Capabilities: { Drop: ['ALL'] },
      InitProcessEnabled: true,
    });
  }
});

it('gives a worker longer to stop than the worker gives itself', () => {
  const worker = ofCommand('worker');
  const deadline = Number(environment(worker).SLUICE_SHUTDOWN_DEADLINE_MS);
  assert.ok(deadline >= 20_000);
  // Behind the deadline come farewells of less than five seconds.
  assert.ok(Number(worker.StopTimeout) * 1000 >= deadline + 5000);
  assert.ok(Number(worker.StopTimeout) <= 120);
});

it('restarts a worker that does not answer, and none because MySQL is away', () => {
  const { Command } = ofCommand('worker').HealthCheck as { Command: string[] };
  assert.equal(Command[0], 'CMD');
  assert.equal(Command.at(-1), 'health');
  assert.ok(!Command.includes('--ready'));
});

it('replaces workers without a gap and rolls back what does not start or does not flush', () => {
  template.hasResourceProperties('AWS::ECS::Service', {
    DesiredCount: Match.absent(),
    DeploymentConfiguration: {
      MinimumHealthyPercent: 100,
      MaximumPercent: 200,
      DeploymentCircuitBreaker: { Enable: true, Rollback: true },
      Alarms: {
        AlarmNames: [{ Ref: Match.stringLikeRegexp('^AlarmsFlushLag') }],
        Enable: true,
        Rollback: true,
      },
    },
    NetworkConfiguration: { AwsvpcConfiguration: { AssignPublicIp: 'DISABLED' } },
  });
});

it('never evicts, speaks TLS with a password, and fails over to another zone', () => {
  template.hasResourceProperties('AWS::ElastiCache::ParameterGroup', {
    CacheParameterGroupFamily: 'valkey8',
    Properties: { 'maxmemory-policy': 'noeviction' },
  });
  template.hasResourceProperties('AWS::ElastiCache::ReplicationGroup', {
    Engine: 'valkey',
    CacheParameterGroupName: { Ref: Match.stringLikeRegexp('^RedisParameters') },
    TransitEncryptionEnabled: true,
    TransitEncryptionMode: 'required',
    AtRestEncryptionEnabled: true,
    MultiAZEnabled: true,
    AutomaticFailoverEnabled: true,
    NumCacheClusters: 2,
    AuthToken: { 'Fn::Join': ['', Match.arrayWith(['{{resolve:secretsmanager:'])] },
  });
});

it('runs MySQL 8.4, durable, with a standby, behind a proxy that wants tokens and TLS', () => {
  template.hasResourceProperties('AWS::RDS::DBInstance', {
    Engine: 'mysql',
    EngineVersion: Match.stringLikeRegexp('^8\\.4'),
    MultiAZ: true,
    StorageEncrypted: true,
    DeletionProtection: true,
    ManageMasterUserPassword: true,
    PubliclyAccessible: false,
  });
  template.hasResourceProperties('AWS::RDS::DBParameterGroup', {
    Family: 'mysql8.4',
    Parameters: Match.objectLike({
      innodb_flush_log_at_trx_commit: '1',
      sync_binlog: '1',
      require_secure_transport: 'ON',
    }),
  });
  const proxies = properties('AWS::RDS::DBProxy');
  assert.equal(proxies.length, 1);
  assert.equal(proxies[0]!.RequireTLS, true);
  for (const auth of proxies[0]!.Auth as { IAMAuth: string }[]) assert.equal(auth.IAMAuth, 'REQUIRED');
  template.hasResourceProperties('AWS::RDS::DBProxyTargetGroup', {
    ConnectionPoolConfigurationInfo: { SessionPinningFilters: Match.absent() },
  });
});

it('lets each task log in to MySQL as its own user only, and gives it no password', () => {
  const logins = properties('AWS::IAM::Policy')
    .flatMap(({ PolicyDocument }) => (PolicyDocument as { Statement: Record<string, unknown>[] }).Statement)
    .filter(({ Action }) => Action === 'rds-db:connect')
    .map(({ Resource }) => JSON.stringify(Resource));
  assert.equal(logins.length, 2);
  assert.equal(logins.filter(resource => resource.endsWith('/sluice"]]}')).length, 1);
  assert.equal(logins.filter(resource => resource.endsWith('/sluice_migrate"]]}')).length, 1);
  for (const command of ['worker', 'migrate']) {
    const container = ofCommand(command);
    const given = environment(container);
    assert.equal(given.MYSQL_IAM_AUTH, '1');
    assert.ok(given.AWS_REGION);
    const secrets = (container.Secrets as { Name: string }[] | undefined)?.map(({ Name }) => Name) ?? [];
    assert.deepEqual(secrets, command === 'worker' ? ['REDIS_PASSWORD'] : []);
    assert.ok(!JSON.stringify(given.MYSQL_URL).includes(':password'));
  }
});

it('makes the users of MySQL from the image itself, at the instance, with secrets only as passwords', () => {
  const users = containers.find(({ EntryPoint }) => EntryPoint !== undefined)!;
  assert.equal(users.Image, IMAGE);
  assert.deepEqual(users.EntryPoint, USERS_ENTRY_POINT);
  assert.deepEqual(users.Command, [USERS_SCRIPT]);
  const { MYSQL_HOST, ...given } = environment(users);
  assert.match(JSON.stringify(MYSQL_HOST), /^\{"Fn::GetAtt":\["MysqlInstance\w+","Endpoint.Address"\]\}$/);
  // No MYSQL_CA: the authorities are those of RDS. test/topology/ecs-users.test.ts runs the script.
  assert.deepEqual(given, {
    MYSQL_PORT: '3306',
    MYSQL_DATABASE: 'app',
    ADMIN_USER: 'admin',
    WORKER_USER: 'sluice',
    MIGRATE_USER: 'sluice_migrate',
  });
  assert.deepEqual(
    (users.Secrets as { Name: string; ValueFrom: unknown }[]).map(({ Name, ValueFrom }) => [
      Name,
      /:password::/.test(JSON.stringify(ValueFrom)),
    ]),
    [
      ['ADMIN_PASSWORD', true],
      ['WORKER_PASSWORD', true],
      ['MIGRATE_PASSWORD', true],
    ],
  );
});

it('opens the metrics port to nobody, or to the one Prometheus that is named', () => {
  assert.deepEqual(
    openings(template).filter(({ CidrIp, CidrIpv6 }) => CidrIp !== undefined || CidrIpv6 !== undefined),
    [],
  );
  assert.deepEqual(
    openings(template).filter(({ FromPort }) => FromPort === METRICS_PORT),
    [],
  );
  assert.equal(environment(ofCommand('worker')).SLUICE_HTTP_HOST, '127.0.0.1');
  const scraped = openings(deployment({ scrapeFrom: 'sg-0123456789abcdef0' }).template).filter(
    ({ FromPort }) => FromPort === METRICS_PORT,
  );
  assert.deepEqual(
    scraped.map(({ SourceSecurityGroupId }) => SourceSecurityGroupId),
    ['sg-0123456789abcdef0'],
  );
  template.resourceCountIs('AWS::ElasticLoadBalancingV2::LoadBalancer', 0);
});

it('scales on lag and backlog, and never because figures are missing', () => {
  template.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', {
    MinCapacity: 2,
    MaxCapacity: 8,
  });
  const alarms = properties('AWS::CloudWatch::Alarm');
  const scaling = alarms.filter(({ AlarmActions }) => JSON.stringify(AlarmActions).includes('ScalingLagOut'));
  assert.equal(scaling.length, 1);
  const acting = alarms.filter(({ AlarmActions }) => /Scaling\w+Action/.test(JSON.stringify(AlarmActions)));
  assert.equal(acting.length, 3);
  for (const alarm of acting) assert.equal(alarm.TreatMissingData, 'notBreaching');
  const expressions = acting.map(({ Metrics }) => JSON.stringify(Metrics)).join('');
  for (const figure of ['FlushLagSeconds', 'PendingUpdates', 'BreakerOpen', 'Workers'])
    assert.ok(expressions.includes(`"MetricName":"${figure}"`), figure);
  const adjustments = properties('AWS::ApplicationAutoScaling::ScalingPolicy').flatMap(
    ({ StepScalingPolicyConfiguration }) =>
      (
        StepScalingPolicyConfiguration as { StepAdjustments: { ScalingAdjustment: number }[] }
      ).StepAdjustments.map(({ ScalingAdjustment }) => ScalingAdjustment),
  );
  assert.deepEqual(adjustments.sort(), [-1, 1, 1, 2, 2]);
});

it('wakes somebody up for lag, quarantine, transfers that wait, no workers, and a Redis that is busy, full or crowded', () => {
  const alarm = (name: string, more: Record<string, unknown>) =>
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      AlarmName: `Sluice-${name}`,
      AlarmActions: [{ Ref: Match.stringLikeRegexp('^AlarmsTopic') }],
      ...more,
    });
  template.hasResourceProperties('AWS::SNS::TopicPolicy', {
    PolicyDocument: {
      Statement: Match.arrayWith([
        Match.objectLike({
          Effect: 'Allow',
          Action: 'sns:Publish',
          Principal: { Service: 'cloudwatch.amazonaws.com' },
        }),
      ]),
    },
  });
  alarm('FlushLag', { Threshold: 30, Statistic: 'Maximum', MetricName: 'FlushLagSeconds' });
  alarm('Quarantined', { Threshold: 1, Statistic: 'Maximum' });
  alarm('TableHeld', { Threshold: 1, Statistic: 'Maximum', MetricName: 'Held' });
  alarm('TransfersOld', { Threshold: 60, Statistic: 'Maximum', MetricName: 'TransferAgeSeconds' });
  alarm('TransfersAside', { Threshold: 1, Statistic: 'Maximum', MetricName: 'TransfersAside' });
  alarm('HoldsOverdue', { Threshold: 60, Statistic: 'Maximum', MetricName: 'HoldOverdueSeconds' });
  alarm('BackfillStands', {
    Threshold: 600,
    MetricName: 'BackfillProgressAgeSeconds',
    TreatMissingData: 'notBreaching',
  });
  alarm('RanksInexact', { Threshold: 1, EvaluationPeriods: 15, MetricName: 'RanksInexact' });
  alarm('MysqlAway', { Threshold: 1, MetricName: 'BreakerOpen' });
  alarm('NoWorkers', { Statistic: 'SampleCount', MetricName: 'Workers', TreatMissingData: 'breaching' });
  alarm('LagUnknown', { Statistic: 'SampleCount', TreatMissingData: 'breaching' });
  for (const [name, metric, threshold] of [
    ['RedisCpu', 'EngineCPUUtilization', 70],
    ['RedisMemory', 'DatabaseMemoryUsagePercentage', 80],
    ['RedisConnections', 'CurrConnections', 5000],
  ] as const)
    alarm(name, {
      Threshold: threshold,
      Metrics: Match.arrayWith([
        Match.objectLike({ MetricStat: { Metric: { MetricName: metric }, Stat: 'Maximum' } }),
      ]),
    });
});

it('keeps logs for a time that ends', () => {
  const groups = properties('AWS::Logs::LogGroup');
  assert.ok(groups.length >= 4);
  for (const { RetentionInDays } of groups) assert.equal(RetentionInDays, 30);
});

it('uses an existing network and makes none of its own', () => {
  const { template: inside } = deployment(existing);
  inside.resourceCountIs('AWS::EC2::VPC', 0);
  inside.resourceCountIs('AWS::EC2::NatGateway', 0);
  inside.hasResourceProperties('AWS::RDS::DBSubnetGroup', {
    SubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
  });
});

it('says how an operator runs a command where the workers are', () => {
  const { SluiceCommand, LogGroupName } = template.toJSON().Outputs;
  const command = JSON.stringify(SluiceCommand.Value);
  assert.match(command, /aws ecs run-task /);
  assert.match(command, /WorkersTask/);
  const overrides = /--overrides '(.*)'/.exec(SluiceCommand.Value['Fn::Join'][1].at(-1))![1]!;
  const { containerOverrides } = JSON.parse(overrides);
  assert.deepEqual(containerOverrides, [{ name: ofCommand('worker').Name, command: ['status'] }]);
  assert.match(JSON.stringify(LogGroupName.Value), /Logs/);
});

it('takes an image by its address, with the right to pull it from ECR, or makes it from a folder', () => {
  assert.equal(ofCommand('worker').Image, IMAGE);
  const { template: pulled } = deployment({ image: ECR_IMAGE });
  pulled.hasResourceProperties('AWS::IAM::Policy', {
    PolicyDocument: {
      Statement: Match.arrayWith([
        Match.objectLike({ Action: Match.arrayWith(['ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer']) }),
      ]),
    },
  });
  const folder = mkdtempSync(join(tmpdir(), 'sluice-image-'));
  writeFileSync(join(folder, 'Dockerfile'), 'FROM sluice:0.1.0\nCOPY sluice.config.json /etc/sluice/\n');
  deployment({ image: '', imageFolder: folder });
  rmSync(folder, { recursive: true });
});

it('migrates with the next image while workers keep theirs, and starts without workers on request', () => {
  const { template: next } = deployment({ migrateImage: 'example/sluice:0.2.0', minWorkers: '0' });
  const images = Object.values(next.findResources('AWS::ECS::TaskDefinition')).map(
    ({ Properties }) => Properties.ContainerDefinitions[0],
  );
  const imageOf = (command: string) => images.find(({ Command }) => Command[0] === command).Image;
  assert.equal(imageOf('worker'), IMAGE);
  assert.equal(imageOf('migrate'), 'example/sluice:0.2.0');
  next.hasResourceProperties('AWS::ECS::Service', { DesiredCount: 0 });
});

it('refuses options that it does not know or that cannot work', () => {
  for (const [context, message] of [
    [{ image: '' }, /either "image", an address, or "imageFolder"/],
    [{ sise: 'small' }, /"sise" is not an option/],
    [{ size: 'huge' }, /"size" must be one of small, medium, large/],
    [{ partitions: '0' }, /"partitions"/],
    [{ maxWorkers: '17' }, /"maxWorkers" must be from minWorkers \(2\) to partitions \(16\)/],
    [{ logRetentionDays: '31' }, /"logRetentionDays"/],
    [{ vpcId: 'vpc-0123456789abcdef0' }, /an existing network needs/],
  ] as const)
    assert.throws(() => deployment(context as Record<string, string>), message);
});
