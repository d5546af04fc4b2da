// The pairs of servers that the integration tests run on; the names are those of the vitest projects.
// Together they hold every flavour: the oldest supported pair, the newest, and the fork of Redis. The hostile ones are
// set up as others may have theirs, and Sluice has no more rights there than it needs (hostile.ts, access.ts). Since Sluice
// gives every session the same values, MariaDB at its defaults is left to the tests whose tables keep the server's own.

import type { MysqlFlavour, RedisFlavour } from '../../scripts/servers.ts';

export interface Pairing {
  redis: Exclude<RedisFlavour, 'path'>;
  mysql: Exclude<MysqlFlavour, 'path' | 'galera'>;
  hostile?: true;
  /** Only these files, as a glob without its end. */
  only?: string;
}

export const pairings: Record<string, Pairing> = {
  'redis8-mysql97': { redis: 'redis8', mysql: 'mysql97' },
  'hostile-mysql97': { redis: 'valkey9', mysql: 'mysql97', hostile: true },
  'hostile-mariadb': { redis: 'redis7', mysql: 'mariadb', hostile: true },
  'redis7-mariadb': {
    redis: 'redis7',
    mysql: 'mariadb',
    only: '{bad-rows,broken-tables,flush,mapping*,property,servers}',
  },
};
