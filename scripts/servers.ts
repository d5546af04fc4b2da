// Real servers for tests, demo and benchmarks, on free ports and in a folder of the caller. They end with
// stop(), with the process that started them, and on Linux even if that process is killed.

export type { DatabaseCluster } from './servers/database-cluster.ts';
export { asRoot, hostList } from './servers/database-cluster.ts';
export { startGalera } from './servers/galera.ts';
export { startGroupReplication } from './servers/group-replication.ts';
export type { MysqlFlavour, MysqlOptions } from './servers/mysql.ts';
export { startMysql } from './servers/mysql.ts';
export type { RunningServer } from './servers/process.ts';
export { freePort, waitFor } from './servers/process.ts';
export type { Announce, ClusterOptions, RedisCluster, RedisFlavour, RedisOptions } from './servers/redis.ts';
export { isCopying, startRedis, startRedisCluster, startRedisTls } from './servers/redis.ts';
export type { RedisSentinel } from './servers/sentinel.ts';
export { startRedisSentinel } from './servers/sentinel.ts';
