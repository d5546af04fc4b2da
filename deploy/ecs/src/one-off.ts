/** Tasks that an operator starts by hand: the users of MySQL once, the schema before each new version. */
import { FargateTaskDefinition, Secret } from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';
import { confined, PLATFORM, sluiceImage, sluiceTask, type TaskParts } from './container.ts';
import { ADMIN_USER, DATABASE, MIGRATE_USER, type Mysql, SHOP_USER, WORKER_USER } from './mysql.ts';
import { MYSQL_PORT } from './network.ts';
import { USERS_ENTRY_POINT, USERS_SCRIPT } from './users-command.ts';

export class OneOff extends Construct {
  readonly migrate: FargateTaskDefinition;
  readonly users: FargateTaskDefinition;

  constructor(
    scope: Construct,
    id: string,
    parts: Pick<TaskParts, 'options' | 'logGroup'> & { mysql: Mysql },
  ) {
    super(scope, id);
    const image = sluiceImage(this, parts.options.migrateImage);
    this.migrate = sluiceTask(this, 'Migrate', {
      ...parts,
      image,
      user: MIGRATE_USER,
      command: 'migrate',
      cpu: 256,
      memory: 512,
    });

    const { mysql, logGroup } = parts;
    this.users = new FargateTaskDefinition(this, 'Users', {
      cpu: 256,
      memoryLimitMiB: 512,
      runtimePlatform: PLATFORM,
    });
    confined(this.users, {
      image,
      entryPoint: USERS_ENTRY_POINT,
      command: [USERS_SCRIPT],
      user: 'node',
      logGroup,
      streamPrefix: 'users',
      environment: {
        // Not the proxy, which knows no administrator.
        MYSQL_HOST: mysql.instance.dbInstanceEndpointAddress,
        MYSQL_PORT: String(MYSQL_PORT),
        MYSQL_DATABASE: DATABASE,
        ADMIN_USER,
        WORKER_USER,
        MIGRATE_USER,
        ...(mysql.shopPassword ? { SHOP_USER } : {}),
      },
      secrets: {
        ADMIN_PASSWORD: Secret.fromSecretsManager(mysql.instance.secret!, 'password'),
        WORKER_PASSWORD: Secret.fromSecretsManager(mysql.passwords[WORKER_USER], 'password'),
        MIGRATE_PASSWORD: Secret.fromSecretsManager(mysql.passwords[MIGRATE_USER], 'password'),
        ...(mysql.shopPassword
          ? { SHOP_PASSWORD: Secret.fromSecretsManager(mysql.shopPassword, 'password') }
          : {}),
      },
    });
  }
}
