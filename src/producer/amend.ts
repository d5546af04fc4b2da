/**
 * Sends an amendment: an operator's decision about a quarantined update, as an update of its own. The live
 * value changes at once; the flush transaction does the rest.
 */
import type { Logger } from 'pino';
import { systemClock } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import { OutOfRangeError } from '../shared/errors.ts';
import { itemOf, type Kind } from '../shared/item.ts';
import type { Aligner } from '../shared/partition/align.ts';
import { Barrier } from '../shared/redis/barrier.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import { Groups } from '../shared/redis/groups.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { MemoryWatch } from '../shared/redis/memory-watch.ts';
import { Primaries } from '../shared/redis/primaries.ts';
import type { FlushQueue } from '../shared/redis/queue.ts';
import { WakeUps } from '../shared/redis/wake-ups.ts';
import { type AmendmentContent, amendedItem } from '../shared/updates/record.ts';
import { ApplyCall } from './apply-call.ts';
import { Calls } from './calls.ts';
import { OUT_OF_RANGE } from './micro-batch.ts';

export interface AmenderParts {
  readonly redis: RedisConnection;
  readonly address: string;
  readonly keys: Keys;
  readonly settings: Settings;
  readonly aligner: Aligner;
  readonly queue: FlushQueue;
  readonly log: Logger;
}

export interface AmendRequest {
  readonly partition: number;
  readonly kind: Kind;
  /** Counter or program. */
  readonly name: string;
  /** Counter key or account. */
  readonly key: string;
  /** Added to the live value; may be 0, and is for a kept value. */
  readonly delta: number;
  readonly content: AmendmentContent;
}

/**
 * Resolves once the amendment is accepted. A repeated call for the same operation and update changes nothing,
 * as long as Redis remembers the id. The operation must have taken the update: a flush carries out no other
 * operation's amendment.
 * @throws OutOfRangeError, UnknownOutcomeError (safe to repeat), RedisUnavailableError,
 * RedisOutOfMemoryError, AccessDeniedError, PartitionHaltedError, DatabaseUnavailableError
 */
export type Amend = (request: AmendRequest) => Promise<void>;

export async function openAmender(parts: AmenderParts): Promise<Amend> {
  const { redis, address, keys, settings, aligner, queue, log } = parts;
  // If the queue closes before a wake-up is due, the sweep flushes the partition.
  const wakeUps = new WakeUps(queue, log);
  const groups = new Groups(redis, keys);
  const primaries = new Primaries(redis, keys);
  const call = new ApplyCall({
    redis,
    address,
    keys,
    settings,
    clock: systemClock,
    calls: new Calls(redis, address, systemClock),
    barrier: new Barrier(primaries),
    // Never started: backpressure must not stop an operator's repair.
    memory: new MemoryWatch(primaries, settings.memoryLimitPercent),
    align: async partition => void (await aligner.align(partition)),
    onLost: (partition, updates) =>
      log.error({ partition, updates }, 'Redis lost updates that it had acknowledged'),
  });
  await call.synchronize();
  return async ({ partition, kind, name, key, delta, content }) => {
    const item = amendedItem(kind, itemOf(name, key));
    const id = `${content.operation} ${content.quarantine}`;
    const updates = JSON.stringify(['a', item, delta, 0, id, JSON.stringify(content)]);
    const { armed, results } = await call.run({ partition, updates, weight: 1, durability: 'memory' });
    if (results.includes(OUT_OF_RANGE)) throw new OutOfRangeError(name);
    if (armed) wakeUps.after(groups.wakeUpOf(partition), settings.flushIntervalMs);
  };
}
