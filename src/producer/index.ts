/** `import { createProducer } from 'sluice'`: what API services use. */

export type { KeyPart } from '../shared/composite-key.ts';
export {
  type Definitions,
  type DefinitionsInput,
  defineConfig,
  readDefinitions,
} from '../shared/config/definitions.ts';
export type { Settings } from '../shared/config/settings.ts';
export * from '../shared/errors.ts';
export { LIMITS } from '../shared/limits.ts';
export type { MysqlLocation } from '../shared/mysql/url.ts';
export type { Durability } from '../shared/redis/durability.ts';
export type { RedisLocation } from '../shared/redis/url.ts';
export type { Hold } from '../shared/updates/hold.ts';
export type { CounterKey } from '../shared/updates/key.ts';
export type {
  CounterUpdate,
  HoldUpdate,
  PointsUpdate,
  PostUpdate,
  TransferUpdate,
  Update,
  ValueUpdate,
  VoidUpdate,
} from '../shared/updates/update.ts';
export type {
  BoardAnswer,
  BoardHandle,
  BoardMember,
  BoardPage,
  BoardPlace,
  TopOptions,
  TopPage,
} from './board.ts';
export type { ApplyResult } from './callers.ts';
export { type KeysOf, Sluice, type ValueKeysOf } from './client.ts';
export type { CounterHandle, IncrementOptions } from './counter-handle.ts';
export type { CallOptions } from './handle.ts';
export type { Health } from './health.ts';
export type { AccountState, HoldOptions, PointsHandle, PointsOptions, PostOptions } from './points-handle.ts';
export { createProducer, type ProducerOptions } from './producer.ts';
export type { HistoryEntry, HistoryOptions } from './reads.ts';
export type { HoldReceipt, KeptReceipt, PersistedOptions, Receipt, TransferReceipt } from './receipt.ts';
export type { ValueHandle } from './value-handle.ts';
