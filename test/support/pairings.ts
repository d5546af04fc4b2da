// The pairs of servers that the integration tests run on; the names are those of the vitest projects.
// Together they hold every flavour: the oldest supported pair, the newest, and the fork of Redis. The hostile ones are
// set up as others may have theirs, and Sluice has no more rights there than it needs (hostile.ts, access.ts).

import type { MysqlFlavour, RedisFlavour } from '../../scripts/servers.ts';

export interface Pairing {
  redis: Exclude<RedisFlavour, 'path'>;
  mysql: Exclude<MysqlFlavour, 'path' | 'galera'>;
  hostile?: true;
}

export const pairings: Record<string, Pairing> = {
  'redis7-mariadb': { redis: 'redis7', mysql: 'mariadb' },
  'redis8-mysql97': { redis: 'redis8', mysql: 'mysql97' },
  'hostile-mysql97': { redis: 'valkey9', mysql: 'mysql97', hostile: true },
  'hostile-mariadb': { redis: 'redis7', mysql: 'mariadb', hostile: true },
};
