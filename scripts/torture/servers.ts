// The kinds of servers that a torture can use.

export const topologies = ['standalone', 'sentinel', 'cluster'] as const;
export type TopologyName = (typeof topologies)[number];
export const singleDatabases = ['mariadb', 'mysql97'] as const;
export const clusteredDatabases = ['group-replication', 'galera'] as const;
export const databases = [...singleDatabases, ...clusteredDatabases] as const;
export type SingleDatabase = (typeof singleDatabases)[number];
export type ClusteredDatabase = (typeof clusteredDatabases)[number];
export type DatabaseName = SingleDatabase | ClusteredDatabase;

export function isClustered(database: DatabaseName): database is ClusteredDatabase {
  return clusteredDatabases.some(name => name === database);
}
