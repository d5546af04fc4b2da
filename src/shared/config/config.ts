/** The only file that reads the environment. Credentials never appear in its errors. */
import { ConfigurationError } from '../errors.ts';
import { LOG_LEVELS, type LogLevel } from '../log.ts';
import type { RdsLogin } from '../mysql/rds-login.ts';
import type { MysqlLocation } from '../mysql/url.ts';
import type { Password } from '../password.ts';
import {
  CLAIM_DURABILITIES,
  type ClaimDurability,
  DURABILITIES,
  type Durability,
  parseDurability,
} from '../redis/durability.ts';
import type { RedisLocation } from '../redis/url.ts';
import { type ApiConfig, apiVariables, readApi } from './api.ts';
import { type ConsoleConfig, consoleVariables, readConsole } from './console.ts';
import { checkNamespace } from './namespace.ts';
import { withoutServiceLinks } from './service-links.ts';
import { environmentName, parseSettings, type Settings, settingNames } from './settings.ts';
import { closest } from './suggestion.ts';
import { NotUtf8, readTextFile } from './text-file.ts';
import { readableFile, readFlag, readPort, type Variable } from './variables.ts';

export interface Config {
  readonly redis: RedisLocation;
  readonly mysql: MysqlLocation;
  readonly namespace: string;
  readonly settings: Settings;
  /** The settings of `sluice worker`, which waits longer than a command for servers that are away. */
  readonly workerSettings: Settings;
  /** How durable an update is when its call is answered. */
  readonly durability: Durability;
  /** How durable a claim is before its batch is written. */
  readonly claimDurability: ClaimDurability;
  /** Whether a worker gives batches an OpenTelemetry span. */
  readonly tracing: boolean;
  readonly http: { readonly host: string; readonly port: number };
  /** What only `sluice serve` uses. */
  readonly api: ApiConfig;
  /** What only the console uses. */
  readonly console: ConsoleConfig;
  /** Whether a worker writes figures for CloudWatch on stdout. */
  readonly emf: boolean;
  /** Undefined if the command decides: a worker logs more than a command whose stdout is data. */
  readonly logLevel: LogLevel | undefined;
  /** Path of the file with the definitions. */
  readonly definitionsPath: string;
}

/** Every variable other than the tuning options, which `settings.ts` lists. */
export const variables: readonly Variable[] = [
  {
    name: 'REDIS_URL',
    default: 'required',
    what: '`redis[s]://HOST:PORT`, `redis[s]+cluster://HOST,HOST` or `redis[s]+sentinel://HOST,HOST/NAME`; `/NUMBER` after the first or the third is the database',
  },
  { name: 'REDIS_USERNAME', default: '', what: "Overrides the URL's user" },
  { name: 'REDIS_PASSWORD', default: '', what: "Overrides the URL's password" },
  {
    name: 'REDIS_PASSWORD_FILE',
    default: '',
    what: 'File that holds it instead, such as a container secret; read anew for each connection',
  },
  {
    name: 'REDIS_SENTINEL_USERNAME',
    default: '',
    what: "User of the Sentinels, if they ask for one; the URL's user is that of the primary",
  },
  { name: 'REDIS_SENTINEL_PASSWORD', default: '', what: 'Password of the Sentinels, if they ask for one' },
  {
    name: 'REDIS_SENTINEL_PASSWORD_FILE',
    default: '',
    what: 'File that holds it instead, such as a container secret; read anew for each connection',
  },
  {
    name: 'REDIS_CA',
    default: '',
    what: 'PEM file of the authority that signed the certificate of Redis, if the system does not trust it',
  },
  {
    name: 'MYSQL_URL',
    default: 'required',
    what: '`mysql://USER:PASSWORD@HOST:PORT/DATABASE`; for a cluster that fails over, the hosts of its members: `HOST:PORT,HOST:PORT,HOST:PORT`',
  },
  { name: 'MYSQL_USER', default: '', what: "Overrides the URL's user" },
  { name: 'MYSQL_PASSWORD', default: '', what: "Overrides the URL's password" },
  {
    name: 'MYSQL_PASSWORD_FILE',
    default: '',
    what: 'File that holds it instead, such as a container secret; read anew for each connection',
  },
  {
    name: 'MYSQL_TLS',
    default: '0',
    what: '`1` encrypts the connection and verifies the certificate; `rds` verifies it by the authorities of Amazon RDS',
  },
  {
    name: 'MYSQL_CA',
    default: '',
    what: 'PEM file of the authority that signed the certificate of MySQL; implies `MYSQL_TLS=1`',
  },
  {
    name: 'MYSQL_IAM_AUTH',
    default: '0',
    what: '`1` logs in to RDS or RDS Proxy with a token in place of a password, signed with the credentials of the ECS task; implies `MYSQL_TLS=rds`',
  },
  { name: 'AWS_REGION', default: '', what: 'Region of that database; ECS sets it' },
  { name: 'SLUICE_CONFIG', default: './sluice.config.json', what: 'File with the definitions' },
  {
    name: 'SLUICE_NAMESPACE',
    default: 'sluice',
    what: 'Prefix of hash tags and queue; it separates deployments that share a Redis',
  },
  {
    name: 'SLUICE_HTTP_HOST',
    default: '127.0.0.1',
    what: 'Address of the port for health and metrics of a worker and of `sluice serve`; `0.0.0.0` inside a container. Never open it to the public internet: there is no authentication',
  },
  {
    name: 'SLUICE_DURABILITY',
    default: 'memory',
    what: 'What an accepted update stands for in `ingest` and `serve`: `memory` of the primary, `replica`, or `fsync` (Redis 7.2, appendonly)',
  },
  {
    name: 'SLUICE_CLAIM_DURABILITY',
    default: 'auto',
    what: 'What a claim waits for before its batch is written: `memory`, `replica`, `fsync`, or `auto`: a replica if there is one',
  },
  {
    name: 'SLUICE_TRACING',
    default: '0',
    what: '`1` gives batches that contain sampled calls an OpenTelemetry span; needs `@opentelemetry/api` and an SDK that is set up before, for example by `node --import`',
  },
  {
    name: 'SLUICE_HTTP_PORT',
    default: '9464',
    what: 'Its port; `0` takes a free one and logs it. `tcp://...`, which Kubernetes sets for a Service named `sluice-http`, counts as not set',
  },
  {
    name: 'SLUICE_EMF',
    default: '0',
    what: '`1` writes the figures for CloudWatch among the logs of a worker, in the embedded metric format (`deploy/ecs`)',
  },
  {
    name: 'SLUICE_LOG_LEVEL',
    default: '',
    what: `${LOG_LEVELS.join(', ')}; \`info\` for a worker (JSON on stdout), \`error\` for other commands (on stderr)`,
  },
  ...apiVariables,
  ...consoleVariables,
];

/** Variables of the set-up scripts, which have the same prefix. */
const FOREIGN = /^SLUICE_(CACHE$|SETUP_)/;

/** The address at which ECS answers a task, the same in every network. */
const ECS_CREDENTIALS = 'http://169.254.170.2';

/** Longer than most failovers and restarts, and than the time that orchestrators give a start. */
const WORKER_START_WAIT_MS = 300_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws ConfigurationError that names what is missing, malformed or misspelt */
export function readConfig(given: Environment): Config {
  const environment = withoutServiceLinks(given);
  refuseUnknown(environment);
  const settings = readSettings(environment);
  const text = (name: string) => environment[name] || undefined;
  const required = (name: string) => {
    const value = text(name);
    if (!value)
      throw new ConfigurationError(
        `${name} is not set; it must be ${variables.find(known => known.name === name)!.what}.`,
      );
    return value;
  };
  const withDefault = (name: string) => text(name) ?? variables.find(known => known.name === name)!.default;
  return {
    // Read on access, since `migrate` needs no Redis.
    get redis() {
      return {
        url: required('REDIS_URL'),
        username: text('REDIS_USERNAME'),
        password: password('REDIS_PASSWORD', environment),
        sentinelUsername: text('REDIS_SENTINEL_USERNAME'),
        sentinelPassword: password('REDIS_SENTINEL_PASSWORD', environment),
        caFile: readableFile('REDIS_CA', text('REDIS_CA')),
      };
    },
    get mysql() {
      return {
        url: required('MYSQL_URL'),
        user: text('MYSQL_USER'),
        password: password('MYSQL_PASSWORD', environment),
        tls: tls('MYSQL_TLS', withDefault('MYSQL_TLS')),
        caFile: readableFile('MYSQL_CA', text('MYSQL_CA')),
        rdsLogin: readFlag('MYSQL_IAM_AUTH', withDefault('MYSQL_IAM_AUTH')) ? rdsLogin(text) : undefined,
      };
    },
    namespace: checkNamespace(withDefault('SLUICE_NAMESPACE')),
    settings,
    workerSettings: text(environmentName('startWaitMs'))
      ? settings
      : { ...settings, startWaitMs: WORKER_START_WAIT_MS },
    durability: parseDurability(withDefault('SLUICE_DURABILITY'), 'SLUICE_DURABILITY', DURABILITIES),
    claimDurability: parseDurability(
      withDefault('SLUICE_CLAIM_DURABILITY'),
      'SLUICE_CLAIM_DURABILITY',
      CLAIM_DURABILITIES,
    ),
    tracing: readFlag('SLUICE_TRACING', withDefault('SLUICE_TRACING')),
    http: {
      host: withDefault('SLUICE_HTTP_HOST'),
      port: readPort('SLUICE_HTTP_PORT', withDefault('SLUICE_HTTP_PORT')),
    },
    get api() {
      return readApi(text);
    },
    get console() {
      return readConsole(text, name => password(name, environment));
    },
    emf: readFlag('SLUICE_EMF', withDefault('SLUICE_EMF')),
    logLevel: logLevel(text('SLUICE_LOG_LEVEL')),
    definitionsPath: withDefault('SLUICE_CONFIG'),
  };
}

function readSettings(environment: Environment): Settings {
  const given: Partial<Settings> = {};
  for (const name of settingNames) {
    const value = environment[environmentName(name)];
    if (value === undefined || value === '') continue;
    if (!/^\d+$/.test(value))
      throw new ConfigurationError(`${environmentName(name)} must be a whole number, in digits only.`);
    given[name] = Number(value);
  }
  return parseSettings(given);
}

function refuseUnknown(environment: Environment): void {
  const known = [...variables.map(variable => variable.name), ...settingNames.map(environmentName)];
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('SLUICE_') || known.includes(name) || FOREIGN.test(name)) continue;
    const nearest = closest(name, known);
    throw new ConfigurationError(
      `${name} is not a variable of Sluice${nearest ? `; did you mean ${nearest}?` : '; see docs/configuration.md.'}`,
    );
  }
}

function tls(name: string, value: string): boolean | 'rds' {
  if (value === 'rds') return value;
  if (['0', '1', 'true', 'false'].includes(value)) return readFlag(name, value);
  throw new ConfigurationError(`${name} must be 1, 0 or rds.`);
}

/** The region and the credentials of the program in AWS: from the environment, or from ECS. */
function rdsLogin(text: (name: string) => string | undefined): RdsLogin {
  const region = text('AWS_REGION');
  if (!region)
    throw new ConfigurationError('MYSQL_IAM_AUTH=1 needs the region of the database; set AWS_REGION.');
  const accessKeyId = text('AWS_ACCESS_KEY_ID');
  const secretAccessKey = text('AWS_SECRET_ACCESS_KEY');
  if (accessKeyId && secretAccessKey) {
    const sessionToken = text('AWS_SESSION_TOKEN');
    return { region, credentials: { accessKeyId, secretAccessKey, sessionToken } };
  }
  const path = text('AWS_CONTAINER_CREDENTIALS_RELATIVE_URI');
  if (path?.startsWith('/')) return { region, credentials: { url: `${ECS_CREDENTIALS}${path}` } };
  throw new ConfigurationError(
    'MYSQL_IAM_AUTH=1 finds no credentials: give the ECS task a role, which sets AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, ' +
      'or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.',
  );
}

/**
 * The password in the variable `name`, or in the file that `name_FILE` names, without a line end. A file is
 * read anew for each connection; while it cannot be read, its last content counts.
 */
function password(name: string, environment: Environment): Password | undefined {
  const given = environment[name] || undefined;
  const path = readableFile(`${name}_FILE`, environment[`${name}_FILE`] || undefined);
  if (path === undefined) return given;
  if (given !== undefined)
    throw new ConfigurationError(`${name} and ${name}_FILE are both set; leave one out.`);
  const read = () => readTextFile(path).replace(/\r?\n$/, '');
  let last: string;
  try {
    last = read();
  } catch (cause) {
    if (cause instanceof NotUtf8)
      throw new ConfigurationError(`${name}_FILE: ${path} ${cause.message}.`, { cause });
    throw new ConfigurationError(
      `${name}_FILE names a file that cannot be read: ${path}; check its path and rights.`,
      { cause },
    );
  }
  return () => {
    try {
      last = read();
    } catch {
      // The file may be being replaced.
    }
    return last;
  };
}

function logLevel(value: string | undefined): LogLevel | undefined {
  if (value === undefined) return undefined;
  const level = LOG_LEVELS.find(known => known === value);
  if (level) return level;
  throw new ConfigurationError(`SLUICE_LOG_LEVEL must be one of ${LOG_LEVELS.join(', ')}.`);
}
