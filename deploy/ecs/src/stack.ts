/**
 * All of a deployment: network -> Redis and MySQL -> workers -> what is behind the balancer (HTTP API, example shop) -> scaling
 * and alarms, and tasks run by hand.
 */
import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { AlarmBehavior, Cluster, ContainerInsights, type TaskDefinition } from 'aws-cdk-lib/aws-ecs';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { Alarms } from './alarms.ts';
import { CONTAINER } from './container.ts';
import { Figures } from './figures.ts';
import { Front } from './front.ts';
import { Mysql, WORKER_USER } from './mysql.ts';
import { Network } from './network.ts';
import { OneOff } from './one-off.ts';
import { readOptions } from './options.ts';
import { Redis } from './redis.ts';
import { Scaling } from './scaling.ts';
import { Workers } from './workers.ts';

type Output = (name: string, value: string, description: string) => CfnOutput;
/** @returns the command by which an operator runs a task, with a command of the task's own or this one */
type RunTask = (task: TaskDefinition, group: SecurityGroup, command?: string[]) => string;

export class SluiceStack extends Stack {
  constructor(scope: Construct, id: string, props: StackProps = {}) {
    super(scope, id, props);
    const options = readOptions(this.node);
    const network = new Network(this, 'Network', options);
    const redis = new Redis(this, 'Redis', network, {
      engine: options.redisEngine,
      node: options.size.redisNode,
      replicas: options.size.redisReplicas,
      securityGroup: network.redis,
      policy: 'noeviction',
      why: 'accepted updates must not be evicted',
      holds: 'live values and pending updates',
    });
    const mysql = new Mysql(this, 'Mysql', network, options);
    const cluster = new Cluster(this, 'Cluster', {
      vpc: network.vpc,
      containerInsightsV2: ContainerInsights.ENABLED,
    });
    const logGroup = new LogGroup(this, 'Logs', { retention: options.logRetentionDays });
    const parts = { options, logGroup, mysql };
    const { service, taskDefinition } = new Workers(this, 'Workers', cluster, network, {
      ...parts,
      redis,
      user: WORKER_USER,
    });
    const { migrate, users } = new OneOff(this, 'OneOff', parts);

    const figures = new Figures(options.namespace);
    const alarms = new Alarms(this, 'Alarms', figures, redis, options);
    // A version that starts and does not flush is rolled back too.
    service.enableDeploymentAlarms([alarms.flushLag.alarmName], {
      behavior: AlarmBehavior.ROLLBACK_ON_ALARM,
    });
    new Scaling(this, 'Scaling', service, figures, options);

    const front =
      options.balancer && network.front
        ? new Front(this, 'Front', cluster, network, {
            ...parts,
            redis,
            alarms,
            groups: network.front,
            balancer: options.balancer,
          })
        : undefined;

    const output: Output = (name, value, description) => new CfnOutput(this, name, { value, description });
    const runTask: RunTask = (task, group, command) =>
      `aws ecs run-task --cluster ${cluster.clusterName} --launch-type FARGATE --task-definition ${task.taskDefinitionArn} ` +
      `--network-configuration 'awsvpcConfiguration={subnets=[${network.taskSubnets.map(subnet => subnet.subnetId).join(',')}],securityGroups=[${group.securityGroupId}]}'` +
      (command
        ? ` --overrides '${JSON.stringify({ containerOverrides: [{ name: CONTAINER, command }] })}'`
        : '');
    output('UsersCommand', runTask(users, network.administration), 'Makes the users of MySQL');
    output('MigrateCommand', runTask(migrate, network.workers), 'Makes or changes the tables');
    output(
      'SluiceCommand',
      runTask(taskDefinition, network.workers, ['status']),
      'Runs a command of Sluice where the workers are, here status; it answers in the log group, stream worker',
    );
    output('LogGroupName', logGroup.logGroupName, 'Of every task');
    output('RedisUrl', redis.url, 'For the API services');
    output('RedisPasswordSecret', redis.password.secretArn, 'For the API services');
    output('MysqlUrl', mysql.url(WORKER_USER), 'For the API services, with MYSQL_IAM_AUTH=1');
    output('ProducersSecurityGroup', network.producers.securityGroupId, 'Attach it to the API services');
    output('ClusterName', cluster.clusterName, 'Of all services');
    output('ServiceName', service.serviceName, 'The workers');
    if (front) tellOfFront(front, network, output, runTask);
  }
}

function tellOfFront({ balancer, api, shop }: Front, network: Network, output: Output, runTask: RunTask) {
  output(
    'Address',
    balancer.loadBalancer.loadBalancerDnsName,
    'Of the balancer: point the name of the certificate at it',
  );
  output(
    'ClientsSecurityGroup',
    network.front!.clients.securityGroupId,
    'Attach it to services that call what is behind the balancer',
  );
  if (api) output('ApiServiceName', api.web.service.serviceName, 'The HTTP API');
  if (!shop) return;
  output('ShopServiceName', shop.web.service.serviceName, 'The API of the example shop');
  output('ShopJobsServiceName', shop.jobs.serviceName, 'The jobs of the example shop');
  output(
    'ShopMigrateCommand',
    runTask(shop.migrate, network.administration),
    'Makes the tables of the example shop',
  );
  output(
    'ShopCommand',
    runTask(shop.task, network.shop!.tasks, ['node', 'src/seed.ts']),
    'Runs a program of the example shop, here the one that fills its tables',
  );
}
