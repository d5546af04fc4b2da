/** Tasks that an operator starts by hand: the users of MySQL once, the schema before each new version. */
import { ContainerImage, FargateTaskDefinition, Secret } from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';
import { confined, sluiceImage, sluiceTask, type TaskParts } from './container.ts';
import { DATABASE, MIGRATE_USER, type Mysql, WORKER_USER } from './mysql.ts';

/** docs/rights.md, as statements; a password is set anew each time, so that a changed secret is carried over. */
const USERS = `
CREATE USER IF NOT EXISTS '${WORKER_USER}'@'%';
ALTER USER '${WORKER_USER}'@'%' IDENTIFIED BY '$WORKER_PASSWORD' REQUIRE SSL;
GRANT SELECT, INSERT, UPDATE, DELETE ON \\\`${DATABASE}\\\`.* TO '${WORKER_USER}'@'%';
CREATE USER IF NOT EXISTS '${MIGRATE_USER}'@'%';
ALTER USER '${MIGRATE_USER}'@'%' IDENTIFIED BY '$MIGRATE_PASSWORD' REQUIRE SSL;
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX ON \\\`${DATABASE}\\\`.* TO '${MIGRATE_USER}'@'%';
`.trim();

export class OneOff extends Construct {
  readonly migrate: FargateTaskDefinition;
  readonly users: FargateTaskDefinition;

  constructor(
    scope: Construct,
    id: string,
    parts: Pick<TaskParts, 'options' | 'logGroup'> & { mysql: Mysql },
  ) {
    super(scope, id);
    this.migrate = sluiceTask(this, 'Migrate', {
      ...parts,
      image: sluiceImage(this, parts.options.migrateImage),
      user: MIGRATE_USER,
      command: 'migrate',
      cpu: 256,
      memory: 512,
    });

    const { mysql, logGroup } = parts;
    this.users = new FargateTaskDefinition(this, 'Users', { cpu: 256, memoryLimitMiB: 512 });
    const { dbInstanceEndpointAddress: host } = mysql.instance;
    confined(this.users, {
      image: ContainerImage.fromRegistry('public.ecr.aws/docker/library/mysql:8.4'),
      // The statements go through stdin, so that no password stands in a list of processes.
      command: [
        'sh',
        '-c',
        `mysql --host="$MYSQL_HOST" --user=admin --ssl-mode=REQUIRED <<SQL\n${USERS}\nSQL\necho 'The users of MySQL are as docs/rights.md says.'`,
      ],
      user: 'mysql',
      logGroup,
      streamPrefix: 'users',
      environment: { MYSQL_HOST: host },
      secrets: {
        MYSQL_PWD: Secret.fromSecretsManager(mysql.instance.secret!, 'password'),
        WORKER_PASSWORD: Secret.fromSecretsManager(mysql.passwords[WORKER_USER], 'password'),
        MIGRATE_PASSWORD: Secret.fromSecretsManager(mysql.passwords[MIGRATE_USER], 'password'),
      },
    });
  }
}
