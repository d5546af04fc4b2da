// Real servers for the tests, the demo and the benchmarks: on free ports, in a folder of the caller's.
// They end with stop(), with the process that started them, and (on Linux) even when that is killed.

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
