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

export const pairings: Record<string, Pairing> = {
  'redis8-mysql97': { redis: 'redis8', mysql: 'mysql97', except: [...COMMANDS, ...HTTP] },
  'hostile-mysql97': { redis: 'valkey9', mysql: 'mysql97', hostile: true, except: COMMANDS },
  'hostile-mariadb': { redis: 'redis7', mysql: 'mariadb', hostile: true, except: HTTP },
  'redis7-mariadb': {
    redis: 'redis7',
    mysql: 'mariadb',
    only: '{bad-rows,broken-tables,flush,mapping*,property,servers}',
  },
};
