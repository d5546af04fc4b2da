/** `sluice keys create|list|revoke`: who may use the HTTP API. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Rights, Scope, StoredKey } from '../http/key-store.ts';
import { readConfig } from '../shared/config/config.ts';
import { readDefinitions } from '../shared/config/definitions.ts';
import { ConfigurationError, UnknownNameError } from '../shared/errors.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { table } from './table.ts';

interface CreateOptions {
  readonly scope: readonly string[];
  readonly counter?: readonly string[];
  readonly program?: readonly string[];
  readonly value?: readonly string[];
  readonly rate?: number;
  readonly expires?: Date;
  readonly json?: boolean;
}

const DAY_MS = 24 * 60 * 60 * 1000;

export function addKeys(program: Command, end: (code: ExitCode) => void): void {
  const keys = program
    .command('keys')
    .description('make, list and revoke keys of the HTTP API')
    .exitOverride()
    .addHelpText('after', '\nExample:\n  sluice keys create shop --scope read --scope write');
  const each = (given: string, before: readonly string[] = []) => [...before, given];
  keys
    .command('create')
    .description('make a key, and print it: nobody can read it again')
    .argument(
      '<name>',
      'the application that will have it; two live keys at a time, to replace one by the other',
    )
    .requiredOption('--scope <scope>', 'read, write or operate; may be given several times', each)
    .option('--counter <name>', 'only this counter; may be given several times; all by default', each)
    .option('--program <name>', 'only this points program; may be given several times; all by default', each)
    .option('--value <name>', 'only this value; may be given several times; all by default', each)
    .option('--rate <requests>', 'requests a second in one process, 0 for no limit', wholeNumber)
    .option('--expires <when>', 'days from now, such as 90d, or a time such as 2027-01-01T00:00:00Z', expiry)
    .option('--json', 'print {"id","key"} as JSON')
    .exitOverride()
    .addHelpText('after', '\nExample:\n  sluice keys create shop --scope read --scope write')
    .action(async (name: string, options: CreateOptions) => end(await runCreate(name, options)));
  keys
    .command('list')
    .description('show all keys, what each may do and when it was last used')
    .option('--json', 'print JSON')
    .exitOverride()
    .addHelpText('after', '\nExample:\n  sluice keys list')
    .action(async (options: { json?: boolean }) => end(await runList(options)));
  keys
    .command('revoke')
    .description('end a key; every process refuses it within ten seconds')
    .argument('<id>', 'the id of the key: the part between the first two "_"')
    .exitOverride()
    .addHelpText('after', '\nExample:\n  sluice keys revoke 4fYq0LmZb1')
    .action(async (id: string) => end(await runRevoke(id)));
}

async function runCreate(name: string, options: CreateOptions): Promise<ExitCode> {
  const rights: Rights = {
    scopes: [...new Set(options.scope)] as Scope[],
    ...limits(options),
    ...(options.rate === undefined ? {} : { rate: options.rate }),
  };
  checkNames(options);
  const made = await withStore(store => store.create(name, rights, options.expires ?? null));
  console.log(options.json ? JSON.stringify(made) : made.key);
  return EXIT.ok;
}

/** A misspelt name would make a key that may do nothing. @throws ConfigurationError */
function checkNames({ counter = [], program = [], value = [] }: CreateOptions): void {
  if (counter.length + program.length + value.length === 0) return;
  const { counters, points, values } = readDefinitions(readConfig(process.env).definitionsPath);
  for (const name of counter)
    if (!Object.hasOwn(counters, name)) throw new UnknownNameError('counter', name, Object.keys(counters));
  for (const name of program)
    if (!Object.hasOwn(points, name)) throw new UnknownNameError('program', name, Object.keys(points));
  for (const name of value)
    if (!Object.hasOwn(values, name)) throw new UnknownNameError('value', name, Object.keys(values));
}

/** A key for one counter only has no program and no value, and so on. */
function limits({
  counter,
  program,
  value,
}: CreateOptions): Pick<Rights, 'counters' | 'programs' | 'values'> {
  if (counter === undefined && program === undefined && value === undefined) return {};
  return { counters: counter ?? [], programs: program ?? [], values: value ?? [] };
}

async function runList(options: { json?: boolean }): Promise<ExitCode> {
  const found = await withStore(store => store.list());
  const shown = found.map(({ digest: _, ...key }) => ({ ...key, state: stateOf(key) }));
  if (options.json) console.log(JSON.stringify({ keys: shown }));
  else if (shown.length === 0) console.log('no keys yet; make one with sluice keys create');
  else
    console.log(
      table(
        ['id', 'name', 'state', 'scopes', 'only', 'created at', 'expires at', 'last used at'],
        shown.map(key => [
          key.id,
          key.name,
          key.state,
          key.scopes.join(' '),
          [...(key.counters ?? []), ...(key.programs ?? []), ...(key.values ?? [])].join(' ') ||
            (key.counters ? 'nothing' : '-'),
          time(key.createdAt),
          time(key.expiresAt),
          time(key.lastUsedAt),
        ]),
      ),
    );
  return EXIT.ok;
}

async function runRevoke(id: string): Promise<ExitCode> {
  if (await withStore(store => store.revoke(id))) {
    console.log(`${id} is revoked; every process refuses it within ten seconds`);
    return EXIT.ok;
  }
  console.error(`sluice: there is no key ${JSON.stringify(id)}; see sluice keys list`);
  return EXIT.found;
}

/** Loads the client of MySQL only if a command runs, so that `--help` does not. */
async function withStore<Result>(
  use: (store: InstanceType<typeof import('../http/key-store.ts').KeyStore>) => Promise<Result>,
): Promise<Result> {
  const { KeyStore } = await import('../http/key-store.ts');
  const { Database } = await import('../shared/mysql/database.ts');
  const { mysql, settings } = readConfig(process.env);
  const database = new Database(mysql, { ...settings, connections: 1 });
  try {
    return await use(new KeyStore(database));
  } finally {
    await database.close();
  }
}

function stateOf({ revokedAt, expiresAt }: Pick<StoredKey, 'revokedAt' | 'expiresAt'>): string {
  if (revokedAt) return 'revoked';
  return expiresAt && expiresAt <= new Date() ? 'expired' : 'live';
}

function time(at: Date | null): string {
  return at === null ? '-' : at.toISOString().replace(/\.\d+Z$/, 'Z');
}

function wholeNumber(text: string): number {
  if (!/^\d{1,7}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

function expiry(text: string): Date {
  const [, days] = /^(\d{1,5})d$/.exec(text) ?? [];
  const at = days === undefined ? new Date(text) : new Date(Date.now() + Number(days) * DAY_MS);
  const isTime = days !== undefined || /^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(text);
  if (!isTime || Number.isNaN(at.getTime()) || at.getTime() <= Date.now())
    throw new ConfigurationError(
      `--expires must be a number of days such as 90d, or a time to come with its zone such as 2027-01-01T00:00:00Z, not ${JSON.stringify(text)}.`,
    );
  return at;
}
