/** `sluice users add|list|role|password|logout|remove`: who may use the console. */
import { Argument, type Command, Option } from 'commander';
import { readConfig } from '../shared/config/config.ts';
import { ROLES, type Role } from '../shared/roles.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { readPassword } from './password-input.ts';
import { table } from './table.ts';

interface PasswordOptions {
  readonly generate?: boolean;
}

type Users = InstanceType<typeof import('../console/users.ts').Users>;

const GENERATE = 'make a password up, and print it: nobody can read it again';
const SOON = 'its logins end in every process within seconds';

export function addUsers(program: Command, end: (code: ExitCode) => void): void {
  const users = program
    .command('users')
    .description('add, list, change and remove users of the console')
    .exitOverride()
    .addHelpText('after', '\nExample:\n  sluice users add alice --role operator');
  const sub = (name: string, description: string, example: string) =>
    users
      .command(name)
      .description(description)
      .exitOverride()
      .addHelpText('after', `\nExample:\n  ${example}`);
  const passwordHelp =
    '\nThe password is asked for at a terminal, and otherwise read as the first line of standard input.';
  sub('add', 'add a user', 'sluice users add alice --role operator')
    .argument('<name>', 'the login, in lower case; audit records have it')
    .addOption(
      new Option('--role <role>', 'viewer looks, operator also changes, admin also repairs')
        .choices(ROLES)
        .makeOptionMandatory(),
    )
    .option('--generate', GENERATE)
    .addHelpText('after', passwordHelp)
    .action(async (name: string, options: PasswordOptions & { role: Role }) =>
      end(await runAdd(name, options)),
    );
  sub('list', 'show all users, and when each logged in last', 'sluice users list')
    .option('--json', 'print JSON')
    .action(async (options: { json?: boolean }) => end(await runList(options)));
  sub('role', `give a user another role; ${SOON}`, 'sluice users role alice admin')
    .argument('<name>', 'the login')
    .addArgument(new Argument('<role>', 'the new role').choices(ROLES))
    .action(async (name: string, role: Role) => end(await runRole(name, role)));
  sub('password', `give a user another password; ${SOON}`, 'sluice users password alice')
    .argument('<name>', 'the login')
    .option('--generate', GENERATE)
    .addHelpText('after', passwordHelp)
    .action(async (name: string, options: PasswordOptions) => end(await runPassword(name, options)));
  sub(
    'logout',
    'end all logins of a name within seconds, also of one from OpenID Connect',
    'sluice users logout alice',
  )
    .argument('<name>', 'the login')
    .action(async (name: string) => end(await runLogout(name)));
  sub('remove', `remove a user; ${SOON}`, 'sluice users remove alice')
    .argument('<name>', 'the login')
    .action(async (name: string) => end(await runRemove(name)));
}

async function runAdd(name: string, { role, generate }: PasswordOptions & { role: Role }): Promise<ExitCode> {
  await withPassword(generate, (users, password) => users.add(name, role, password));
  if (!generate) console.log(`${name} is a user with the role ${role}`);
  return EXIT.ok;
}

async function runList({ json }: { json?: boolean }): Promise<ExitCode> {
  const listed = await withUsers(users => users.list());
  if (json) console.log(JSON.stringify({ users: listed }));
  else if (listed.length === 0) console.log('no users yet; add one with sluice users add');
  else
    console.log(
      table(
        ['name', 'role', 'created at', 'last login at', 'logins'],
        listed.map(({ name, role, createdAt, lastLoginAt, logins }) => [
          name,
          role,
          time(createdAt),
          time(lastLoginAt),
          String(logins),
        ]),
      ),
    );
  return EXIT.ok;
}

async function runRole(name: string, role: Role): Promise<ExitCode> {
  const isThere = await withUsers(users => users.setRole(name, role));
  return report(name, isThere, `${name} has the role ${role}, and must log in again`);
}

async function runPassword(name: string, { generate }: PasswordOptions): Promise<ExitCode> {
  const isThere = await withPassword(generate, (users, password) => users.setPassword(name, password));
  return report(name, isThere, generate ? undefined : `${name} has the new password, and must log in again`);
}

async function runLogout(name: string): Promise<ExitCode> {
  const ended = await withUsers(users => users.endLogins(name));
  console.log(`${ended} logins of ${name} ended`);
  return EXIT.ok;
}

async function runRemove(name: string): Promise<ExitCode> {
  const wasThere = await withUsers(users => users.remove(name));
  return report(name, wasThere, `${name} is removed; ${SOON}`);
}

function report(name: string, isThere: boolean, done: string | undefined): ExitCode {
  if (isThere) {
    if (done) console.log(done);
    return EXIT.ok;
  }
  console.error(`sluice: there is no user ${JSON.stringify(name)}; see sluice users list`);
  return EXIT.found;
}

/** Prints a password that was made up only after it is in effect. */
async function withPassword<Result>(
  generate: boolean | undefined,
  use: (users: Users, password: string) => Promise<Result>,
): Promise<Result> {
  const { makePassword } = await import('../console/passwords.ts');
  const password = generate ? makePassword() : await readPassword(process.stdin, process.stderr);
  const result = await withUsers(users => use(users, password));
  if (generate && result !== false) console.log(password);
  return result;
}

/** Loads the client of MySQL only if a command runs, so that `--help` does not. */
async function withUsers<Result>(use: (users: Users) => Promise<Result>): Promise<Result> {
  const { Users } = await import('../console/users.ts');
  const { Database } = await import('../shared/mysql/database.ts');
  const { mysql, settings } = readConfig(process.env);
  const database = new Database(mysql, { ...settings, connections: 1 });
  try {
    return await use(new Users(() => database));
  } finally {
    await database.close();
  }
}

function time(at: Date | null): string {
  return at === null ? '-' : at.toISOString().replace(/\.\d+Z$/, 'Z');
}
