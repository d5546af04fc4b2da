/**
 * Compares both sides of a partition for `sluice recover`: the state in Redis, the watermark and journal in
 * MySQL, and the verdict by the table of decision.ts. Also calls the script that changes Redis.
 */
import type { PoolConnection } from 'mysql2/promise';
import { queryRow, queryRows, readSql } from '../shared/mysql/database.ts';
import { decideStepwise } from '../shared/partition/decision.ts';
import type { Watermark } from '../shared/partition/watermark.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { defineScript, type Script } from '../shared/redis/script.ts';

/** For pending counters of an old backup of Redis. Its entries are written again, which is harmless. */
export type OldCounters = 'discard' | 'apply';

export const VERDICTS = [
  'IN_ORDER',
  /** Redis has no state of the partition; the next update creates it from the watermark. */
  'NO_STATE',
  /** The next flush or alignment gives both sides a new epoch. */
  'EPOCHS_DIFFER',
  /** Redis lost acknowledged writes; the next flush or alignment repairs it. */
  'REDIS_BEHIND',
  'REDIS_BACKUP_RESTORED',
  'DATABASE_WENT_BACK',
  'NOT_MIGRATED',
] as const;
export type Verdict = (typeof VERDICTS)[number];

export interface RedisSide {
  readonly epoch: string;
  /** Sequence number of the batch claimed last. */
  readonly sequence: number;
  /** Token of the batch in flight, '' if there is none. */
  readonly token: string;
  /** Updates accepted in total, and how many of them were claimed, by Redis' count. */
  readonly updates: number;
  readonly claimed: number;
  /** How many of `claimed` were discarded by recoveries. */
  readonly dropped: number;
  readonly inFlight: number;
  readonly pendingKeys: number;
  readonly pendingEntries: number;
}

/** Amount that a recovery has to remove before it can end. */
interface Burden {
  /** Pending counters from before the database's last commit, and their updates, also those in flight. */
  readonly oldKeys: number;
  readonly oldUpdates: number;
  /** Ids of acknowledged entries. */
  readonly ids: number;
}

export interface DatabaseSide extends Omit<Watermark, 'updates'> {
  /** Updates that it has, by Redis' count at its last batch; null if that was not recorded. */
  readonly updates: number | null;
  readonly journal: { readonly oldest: number; readonly newest: number; readonly batches: number } | null;
  /** When its last batch was committed, ms. */
  readonly committedAt: number;
}

/** Loss that a recovery would record in `sluice_losses`. */
export interface Damage {
  readonly kind: 'lost' | 'doubled';
  readonly updates: number;
  /** False if the counts do not tell exactly; `updates` is then an upper bound. */
  readonly isExact: boolean;
}

export interface Evidence {
  readonly verdict: Verdict;
  readonly redis?: RedisSide;
  readonly database?: DatabaseSide;
  /** These two are undefined if there is nothing to do. */
  readonly damage?: Damage;
  readonly burden?: Burden;
}

/** Reply of recover.lua. */
type RecoverReply = [
  matches: number,
  side: [
    epoch: string,
    sequence: number,
    token: string,
    updates: number,
    claimed: number,
    dropped: number,
    inFlight: number,
    pendingKeys: number,
    pendingEntries: number,
  ],
  burden: [ids: number, oldInFlight: number, updates: number, keys: number, discarded: number],
];

interface ParsedReply {
  readonly matches: boolean;
  readonly side: RedisSide;
  readonly ids: number;
  /** Old updates in the batch in flight. */
  readonly oldInFlight: number;
  /** Updates and number of the pending counters that this call handled. */
  readonly updates: number;
  readonly keys: number;
  /** Updates discarded so far. */
  readonly discarded: number;
}

const EVIDENCE = readSql(new URL('./sql/recovery-evidence.sql', import.meta.url));
const NEVER = -1;
/** Counters or ids in one call, about two milliseconds of Redis' time. */
const PAGE = 1000;

/** The new state of Redis, and what the recovery removes there. */
export interface Move {
  readonly epoch: string;
  readonly sequence: number;
  readonly token: string;
  readonly discards: boolean;
  readonly forgetsIds: boolean;
}

export class Sides {
  /** Most pending counters or ids that one call handles. */
  readonly pageSize: number;
  readonly #keys: Keys;
  readonly #recover: Script<RecoverReply | null>;

  constructor(redis: RedisConnection, keys: Keys, pageSize = PAGE) {
    this.#keys = keys;
    this.pageSize = pageSize;
    this.#recover = defineScript(redis, 'recover', new URL('./recover.lua', import.meta.url));
  }

  /**
   * Compares both sides. The result is valid only if the watermark does not move meanwhile: the caller holds
   * its lock, or checks that it is the same afterwards.
   * @param watermark of the partition
   * @param counters if given, also computes the damage of recovering a Redis that is behind
   */
  async look(
    connection: PoolConnection,
    partition: number,
    watermark: Watermark,
    counters?: OldCounters,
  ): Promise<Evidence> {
    const row = await queryRow(connection, EVIDENCE, [partition, partition]);
    const batches = Number(row.batches);
    const database: DatabaseSide = {
      ...watermark,
      // It is 0 in rows of format 1, and in partitions that never had a batch.
      updates: watermark.updates || (watermark.sequence === 0 ? 0 : null),
      journal: batches > 0 ? { oldest: Number(row.oldest), newest: Number(row.newest), batches } : null,
      committedAt: Number(row.committed_ms),
    };
    const seen = await this.#redisSide(partition, NEVER);
    if (!seen) return { verdict: 'NO_STATE', database };
    const { side, burden } = seen;
    const verdict = await this.#verdict(connection, partition, side, database);
    const sides = { verdict, redis: side, database };
    if (verdict === 'DATABASE_WENT_BACK') return { ...sides, damage: goneWith(side, database), burden };
    const isBackup = verdict === 'REDIS_BACKUP_RESTORED';
    if (!isBackup && !(verdict === 'REDIS_BEHIND' && counters)) return sides;
    const found = await this.#weigh(partition, side, database.committedAt);
    // A claim came between. There is no second one before the watermark moves.
    if (!found) return this.look(connection, partition, watermark, counters);
    const kind = counters === 'apply' ? 'doubled' : 'lost';
    return { ...sides, damage: { kind, updates: found.oldUpdates, isExact: true }, burden: found };
  }

  /**
   * Handles one page of the burden.
   * @param declared most updates that may be discarded in total
   * @returns false if Redis has changed since `seen`, or more would be discarded
   */
  async lighten(
    partition: number,
    action: 'discard' | 'forget',
    cutoff: number,
    seen: RedisSide,
    declared: number,
  ): Promise<boolean> {
    const { epoch, sequence, token } = seen;
    const reply = await this.#call(partition, action, cutoff, epoch, sequence, token, declared);
    return reply?.matches === true;
  }

  /** Returns the new state; undefined if Redis has changed, or more than `declared` would be discarded. */
  async move(partition: number, cutoff: number, seen: RedisSide, move: Move, declared: number) {
    const before = [seen.epoch, seen.sequence, seen.token, declared];
    const after = [move.epoch, move.sequence, move.token, move.discards ? 1 : 0, move.forgetsIds ? 1 : 0];
    const reply = await this.#call(partition, 'move', cutoff, ...before, ...after);
    return reply?.matches ? reply.side : undefined;
  }

  /** Undefined if the partition has no state. */
  async #call(
    partition: number,
    action: 'look' | 'discard' | 'forget' | 'move',
    cutoff: number,
    ...more: (string | number)[]
  ): Promise<ParsedReply | undefined> {
    const reply = await this.#recover(this.#keys.state(partition), action, cutoff, this.pageSize, ...more);
    return reply ? parseReply(reply) : undefined;
  }

  async #redisSide(partition: number, cutoff: number, from = 0) {
    const reply = await this.#call(partition, 'look', cutoff, from);
    if (!reply) return undefined;
    const { side, ids, oldInFlight, updates, keys, discarded } = reply;
    const burden: Burden = {
      oldKeys: keys,
      oldUpdates: updates + (from === 0 ? oldInFlight + discarded : 0),
      ids,
    };
    return { side, burden };
  }

  /** Undefined if Redis has changed since `seen`. */
  async #weigh(partition: number, seen: RedisSide, cutoff: number): Promise<Burden | undefined> {
    const total = { oldKeys: 0, oldUpdates: 0, ids: 0 };
    for (;;) {
      const found = await this.#redisSide(partition, cutoff, total.oldKeys);
      if (!found || found.side.token !== seen.token) return undefined;
      const { oldKeys, oldUpdates } = found.burden;
      total.oldKeys += oldKeys;
      total.oldUpdates += oldUpdates;
      if (oldKeys < this.pageSize) return total;
    }
  }

  async #verdict(
    connection: PoolConnection,
    partition: number,
    redis: RedisSide,
    database: DatabaseSide,
  ): Promise<Verdict> {
    const steps = verdictStepwise(redis, database);
    let step = steps.next();
    while (!step.done) {
      const sql = 'SELECT 1 FROM sluice_batches WHERE partition_id = ? AND token = ? LIMIT 1';
      const rows = await queryRows(connection, sql, [partition, redis.token]);
      step = steps.next(rows.length > 0);
    }
    return step.value;
  }
}

/** The decision table. Yields if it needs to know whether the journal has the token in flight. */
export function* verdictStepwise(
  redis: Pick<RedisSide, 'epoch' | 'sequence' | 'token' | 'updates' | 'claimed'>,
  database: Pick<DatabaseSide, 'epoch' | 'sequence' | 'token'> & { journal: { oldest: number } | null },
): Generator<'recorded', Verdict, boolean> {
  const ordered = redis.epoch === database.epoch ? 'IN_ORDER' : 'EPOCHS_DIFFER';
  if (redis.token === '') {
    if (redis.sequence === database.sequence) return ordered;
    if (redis.sequence > database.sequence) return 'DATABASE_WENT_BACK';
    // The aligner decides the same way.
    const isOutdated = (database.journal?.oldest ?? 0) > redis.sequence + 1;
    return isOutdated && redis.updates > redis.claimed ? 'REDIS_BACKUP_RESTORED' : 'REDIS_BEHIND';
  }
  const steps = decideStepwise(redis, database);
  let step = steps.next();
  while (!step.done) {
    if (step.value === 'recorded') step = steps.next(yield 'recorded');
    else step = steps.next(step.value === 'inFlight' ? true : database.journal?.oldest);
  }
  if (step.value === 'halt-database') return 'DATABASE_WENT_BACK';
  if (step.value === 'halt-redis') return 'REDIS_BACKUP_RESTORED';
  return step.value === 'rewind' ? 'REDIS_BEHIND' : ordered;
}

function parseReply([matches, side, burden]: RecoverReply): ParsedReply {
  const [epoch, sequence, token, updates, claimed, dropped, inFlight, pendingKeys, pendingEntries] = side;
  const [ids, oldInFlight, handled, keys, discarded] = burden;
  return {
    matches: matches === 1,
    side: { epoch, sequence, token, updates, claimed, dropped, inFlight, pendingKeys, pendingEntries },
    ...{ ids, oldInFlight, updates: handled, keys, discarded },
  };
}

/** Updates that Redis knows to be committed, by its own count. */
export function committedCount({
  claimed,
  dropped,
  inFlight,
}: Pick<RedisSide, 'claimed' | 'dropped' | 'inFlight'>): number {
  return claimed - dropped - inFlight;
}

/** Updates that the database had committed and no longer has. */
export function goneWith(
  redis: Pick<RedisSide, 'claimed' | 'dropped' | 'inFlight'>,
  database: Pick<DatabaseSide, 'updates'>,
): Damage {
  const committed = committedCount(redis);
  const isExact = database.updates !== null && database.updates <= committed;
  return { kind: 'lost', updates: isExact ? committed - database.updates! : committed, isExact };
}
