/** All of a deployment: network -> Redis and MySQL -> workers and HTTP API -> scaling and alarms, and tasks run by hand. */
import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import { AlarmBehavior, Cluster, ContainerInsights, type TaskDefinition } from 'aws-cdk-lib/aws-ecs';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { Alarms } from './alarms.ts';
import { Api } from './api.ts';
import { CONTAINER } from './container.ts';
import { Figures } from './figures.ts';
import { Mysql, WORKER_USER } from './mysql.ts';
import { hasApi, Network } from './network.ts';
import { OneOff } from './one-off.ts';
import { readOptions } from './options.ts';
import { Redis } from './redis.ts';
import { Scaling } from './scaling.ts';
import { Workers } from './workers.ts';

type Output = (name: string, value: string, description: string) => CfnOutput;

export class SluiceStack extends Stack {
  constructor(scope: Construct, id: string, props: StackProps = {}) {
    super(scope, id, props);
    const options = readOptions(this.node);
    const network = new Network(this, 'Network', options);
    const redis = new Redis(this, 'Redis', network, options);
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

    const output: Output = (name, value, description) => new CfnOutput(this, name, { value, description });
    if (options.api && hasApi(network)) {
      const serving = { ...parts, redis, user: WORKER_USER, api: options.api };
      const api = new Api(this, 'Api', cluster, network, serving);
      const errors = alarms.watchApi(api.balancer);
      api.service.enableDeploymentAlarms([errors.alarmName], { behavior: AlarmBehavior.ROLLBACK_ON_ALARM });
      output(
        'ApiAddress',
        api.balancer.loadBalancer.loadBalancerDnsName,
        'Point the name of the certificate at it',
      );
      output('ApiServiceName', api.service.serviceName, 'The HTTP API');
      output(
        'ApiClientsSecurityGroup',
        network.api.clients.securityGroupId,
        'Attach it to services that call the API',
      );
    }
    const runTask = (task: TaskDefinition, group: string) =>
      `aws ecs run-task --cluster ${cluster.clusterName} --launch-type FARGATE --task-definition ${task.taskDefinitionArn} ` +
      `--network-configuration 'awsvpcConfiguration={subnets=[${network.taskSubnets.map(subnet => subnet.subnetId).join(',')}],securityGroups=[${group}]}'`;
    output(
      'UsersCommand',
      runTask(users, network.administration.securityGroupId),
      'Makes the users of MySQL',
    );
    output(
      'MigrateCommand',
      runTask(migrate, network.workers.securityGroupId),
      'Makes or changes the tables',
    );
    const status = JSON.stringify({ containerOverrides: [{ name: CONTAINER, command: ['status'] }] });
    output(
      'SluiceCommand',
      `${runTask(taskDefinition, network.workers.securityGroupId)} --overrides '${status}'`,
      'Runs a command of Sluice where the workers are, here status; it answers in the log group, stream worker',
    );
    output('LogGroupName', logGroup.logGroupName, 'Of every task');
    output('RedisUrl', redis.url, 'For the API services');
    output('RedisPasswordSecret', redis.password.secretArn, 'For the API services');
    output('MysqlUrl', mysql.url(WORKER_USER), 'For the API services, with MYSQL_IAM_AUTH=1');
    output('ProducersSecurityGroup', network.producers.securityGroupId, 'Attach it to the API services');
    output('ClusterName', cluster.clusterName, 'Of the workers');
    output('ServiceName', service.serviceName, 'The workers');
  }
}
