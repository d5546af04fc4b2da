// Pairs of servers for the integration tests, named after the vitest projects. Together they cover every
// flavour: the oldest supported pair, the newest, and the fork of Redis. On hostile pairs, servers have odd
// settings and Sluice has only the rights that it needs (hostile.ts, access.ts). MariaDB with its defaults
// runs only the tests whose tables depend on the server's settings, since Sluice gives every session the same
// values.

import type { MysqlFlavour, RedisFlavour } from '../../scripts/servers.ts';

export interface Pairing {
  redis: Exclude<RedisFlavour, 'path'>;
  mysql: Exclude<MysqlFlavour, 'path' | 'galera'>;
  hostile?: true;
  /** Runs only these files, a glob without its ending. */
  only?: string;
  /** Does not run these files, globs without their endings. */
  except?: readonly string[];
}

/**
 * Tests of the command line and of the HTTP API run on one pairing each, a hostile one: they start hundreds of
 * processes, and the SQL and Lua below them is tested by the other files on every pairing. The topology tests
 * and the demo use both on the newest pair with default settings.
 */
const COMMANDS = ['cli-*', 'erasure'];
const HTTP = ['http-*'];
/** Routes of the console, whose statements and scripts run on both flavours of the hostile pairings. */
const CONSOLE = ['console-*'];
/** Tests of the console that ask the servers nothing of their own: who may, and the server itself. */
const CONSOLE_SERVER = ['console-{access*,server,verify}'];

/**
 * Files that test only our own logic do not run on the newest pair with default settings. The rule: a file is here if it
 * neither makes tables in a way that a server's settings change, nor asks about the server, and if files that do
 * run there use the same Lua and SQL. Such a file runs on the two hostile pairings: MySQL with Valkey 9, and MariaDB
 * with Redis 7. Redis 8 and MySQL 9.7 with defaults are also what the topology tests use.
 */
const OWN_LOGIC = [
  ...['amendments', 'another-format', 'backfill', 'backpressure', 'counter-ids', 'decision', 'definitions'],
  ...['doubt', 'errors-to-callers', 'groups', 'heartbeat', 'holds-property', 'late', 'live-values'],
  ...['log-privacy', 'metrics', 'partitions', 'plain-batches', 'poison', 'receipts', 'recover-redis'],
  ...['repair', 'replay-*', 'segments', 'shared-calls', 'suspects', 'tracing'],
  ...['transfer-{history,operations,pages}', 'transfers-{aside,crashes,faults,property,quarantine,rules}'],
  ...['verifier', 'verify-{holds,transfers}', 'watchdog'],
];

/** Servers of projects with other folders. */
export const ownFolders: Record<string, Pairing> = {
  browser: { redis: 'redis8', mysql: 'mysql97' },
  shop: { redis: 'redis8', mysql: 'mysql97' },
};

export const pairings: Record<string, Pairing> = {
  'redis8-mysql97': {
    redis: 'redis8',
    mysql: 'mysql97',
    except: [...COMMANDS, ...HTTP, ...CONSOLE, ...OWN_LOGIC],
  },
  'hostile-mysql97': { redis: 'valkey9', mysql: 'mysql97', hostile: true, except: COMMANDS },
  'hostile-mariadb': {
    redis: 'redis7',
    mysql: 'mariadb',
    hostile: true,
    except: [...HTTP, ...CONSOLE_SERVER],
  },
  'redis7-mariadb': {
    redis: 'redis7',
    mysql: 'mariadb',
    only: '{bad-rows,broken-tables,flush,mapping*,property,servers}',
  },
};
