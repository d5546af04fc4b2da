/** `import { createProducer } from 'sluice'`: what API services use. */

export {
  type Definitions,
  type DefinitionsInput,
  defineConfig,
  readDefinitions,
} from '../shared/definitions.ts';
export type { Durability } from '../shared/durability.ts';
export * from '../shared/errors.ts';
export { LIMITS } from '../shared/limits.ts';
export type { MysqlLocation } from '../shared/mysql-url.ts';
export type { RedisLocation } from '../shared/redis-url.ts';
export type { Settings } from '../shared/settings.ts';
export type { CounterUpdate, PointsUpdate, Update } from '../shared/update.ts';
export {
  type ApplyResult,
  type CallOptions,
  type CounterHandle,
  type IncrementOptions,
  type PointsHandle,
  type PointsOptions,
  Sluice,
} from './client.ts';
export type { Health } from './health.ts';
export { createProducer, type ProducerOptions } from './producer.ts';
export type { HistoryEntry, HistoryOptions } from './reads.ts';
export type { PersistedOptions, Receipt } from './receipt.ts';
