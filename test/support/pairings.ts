// The pairs of servers that the integration tests run on; the names are those of the vitest projects.
// Together they hold every flavour once: the oldest supported pair, the newest, and the fork of Redis.

import type { MysqlFlavour, RedisFlavour } from '../../scripts/servers.ts';

interface Pairing {
  redis: Exclude<RedisFlavour, 'path'>;
  mysql: Exclude<MysqlFlavour, 'path' | 'galera'>;
}

export const pairings: Record<string, Pairing> = {
  'redis7-mariadb': { redis: 'redis7', mysql: 'mariadb' },
  'redis8-mysql97': { redis: 'redis8', mysql: 'mysql97' },
  'valkey9-mysql97': { redis: 'valkey9', mysql: 'mysql97' },
};
