/**
 * MySQL: RDS with a standby, and RDS Proxy before it. Nobody of Sluice who flushes or calls holds a password: they log in to
 * the proxy with tokens, and the proxy takes the password of that user from its secret. The example shop has one, since its
 * own pool cannot make tokens.
 */
import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import {
  type CfnDBProxy,
  Credentials,
  DatabaseInstance,
  DatabaseInstanceEngine,
  type DatabaseProxy,
  MysqlEngineVersion,
  ParameterGroup,
  StorageType,
} from 'aws-cdk-lib/aws-rds';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { MYSQL_PORT, type Network } from './network.ts';
import type { Options } from './options.ts';

export const DATABASE = 'app';
/** Made by RDS; only the users task logs in as it. */
export const ADMIN_USER = 'admin';
/** Flushes, reads and counts; may not change a table. */
export const WORKER_USER = 'sluice';
/** Makes and changes tables. */
export const MIGRATE_USER = 'sluice_migrate';
/** The example shop logs in as it; it has the rights of a worker. */
export const SHOP_USER = 'shop';

export class Mysql extends Construct {
  readonly instance: DatabaseInstance;
  readonly passwords: Record<typeof WORKER_USER | typeof MIGRATE_USER, Secret>;
  readonly shopPassword: Secret | undefined;
  readonly #proxy: DatabaseProxy;

  constructor(scope: Construct, id: string, network: Network, options: Options) {
    super(scope, id);
    const { vpc, dataSubnets } = network;
    const engine = DatabaseInstanceEngine.mysql({ version: MysqlEngineVersion.VER_8_4_8 });
    const name = `${Stack.of(this).stackName}-mysql`.toLowerCase();
    const logs = ['error', 'slowquery'];
    const groups = logs.map(
      log =>
        // Made here, since RDS would make it without an end.
        new LogGroup(this, `Log-${log}`, {
          logGroupName: `/aws/rds/instance/${name}/${log}`,
          retention: options.logRetentionDays,
        }),
    );
    this.instance = new DatabaseInstance(this, 'Instance', {
      instanceIdentifier: name,
      engine,
      instanceType: new InstanceType(options.size.mysqlClass),
      multiAz: options.size.mysqlMultiAz,
      vpc,
      vpcSubnets: { subnets: dataSubnets },
      securityGroups: [network.mysql],
      port: MYSQL_PORT,
      databaseName: DATABASE,
      credentials: Credentials.fromUsername(ADMIN_USER),
      // RDS changes that password itself, every week.
      manageMasterUserPassword: true,
      iamAuthentication: true,
      parameterGroup: new ParameterGroup(this, 'Parameters', {
        engine,
        description: 'Sluice: durable commits, TLS only',
        parameters: {
          innodb_flush_log_at_trx_commit: '1',
          sync_binlog: '1',
          require_secure_transport: 'ON',
          slow_query_log: '1',
          log_output: 'FILE',
        },
      }),
      storageType: StorageType.GP3,
      allocatedStorage: 100,
      maxAllocatedStorage: 1000,
      storageEncrypted: true,
      backupRetention: Duration.days(7),
      copyTagsToSnapshot: true,
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
      cloudwatchLogsExports: logs,
    });
    this.instance.node.addDependency(...groups);

    const password = (user: string) =>
      new Secret(this, `Password-${user}`, {
        description: `Sluice: MySQL user ${user}, for RDS Proxy`,
        generateSecretString: {
          secretStringTemplate: JSON.stringify({ username: user }),
          generateStringKey: 'password',
          passwordLength: 40,
          excludePunctuation: true,
        },
      });
    this.passwords = { [WORKER_USER]: password(WORKER_USER), [MIGRATE_USER]: password(MIGRATE_USER) };
    this.shopPassword = options.shop && password(SHOP_USER);
    const secrets = [...Object.values(this.passwords), ...(this.shopPassword ? [this.shopPassword] : [])];
    this.#proxy = this.instance.addProxy('Proxy', {
      // Else "Proxy", which a second deployment in the account could not have.
      dbProxyName: `${Stack.of(this).stackName}-proxy`.toLowerCase(),
      vpc,
      vpcSubnets: { subnets: dataSubnets },
      securityGroups: [network.proxy],
      secrets,
      iamAuth: true,
      requireTLS: true,
      // A worker whose connection cannot be had soon had better let its updates coalesce.
      borrowTimeout: Duration.seconds(5),
      maxConnectionsPercent: 80,
      // No pinning filter: a session that lost its sql_mode to another would cut values short in silence.
    });
    Validations.of(this.instance).acknowledge({
      id: 'AwsSolutions-RDS11',
      reason:
        'Security groups decide who reaches MySQL; another port than the usual one would keep nobody out.',
    });
    for (const secret of secrets)
      Validations.of(secret).acknowledge({
        id: 'AwsSolutions-SMG4',
        reason:
          'Only RDS Proxy reads it, and the shop its own. README.md says how to change it: a new value, then the users task again.',
      });
    if (this.shopPassword) this.#letLogInByPassword(secrets.indexOf(this.shopPassword));
  }

  /** By an override for one user of the proxy, at this place: `iamAuth` is for all users or none. */
  #letLogInByPassword(place: number): void {
    const proxy = this.#proxy.node.defaultChild as CfnDBProxy;
    proxy.addPropertyOverride(`Auth.${place}.IAMAuth`, 'DISABLED');
    proxy.addPropertyOverride(`Auth.${place}.ClientPasswordAuthType`, 'MYSQL_CACHING_SHA2_PASSWORD');
  }

  /** The URL for a user, without a password: the token takes its place, or a secret. */
  url(user: string): string {
    return `mysql://${user}@${this.#proxy.endpoint}:${MYSQL_PORT}/${DATABASE}`;
  }

  allowLogin(grantee: IGrantable, user: string): void {
    this.#proxy.grantConnect(grantee, user);
  }
}
