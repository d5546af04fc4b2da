/** The scripts on the batch in flight: claim, ack, rewind; and trim. */
import { randomToken } from '../shared/clock.ts';
import { idText } from '../shared/item.ts';
import { Budget } from '../shared/redis/budget.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { REPLY_BYTES } from '../shared/redis/reply-size.ts';
import { defineScript, type Script } from '../shared/redis/script.ts';
import { readState } from '../shared/redis/state.ts';
import { creditedBy } from '../shared/updates/record.ts';
import { type Batch, joinPages, type Page, parseCounters } from './batch.ts';
import type { ClaimBarrier } from './claim-barrier.ts';
import { type AskPage, claimFirstPage, claimPages, isShort } from './claim-pages.ts';
import type { FlightCheck } from './commit.ts';
import type { Outcome } from './journal.ts';

export interface FlightLimits {
  batchKeys: number;
  batchEntries: number;
  idempotencyWindowMs: number;
  idempotencyLimit: number;
}

export interface AckResult {
  /** False if another worker had acknowledged the batch. */
  readonly acknowledged: boolean;
  readonly pendingUpdates: number;
  /** Counter keys and entries. */
  readonly pendingItems: number;
}

/** What a short claim found: a batch, or the first page of one that is too long to share a transaction. */
export type ShortClaim =
  | { readonly batch: Batch; readonly firstPage?: undefined }
  | { readonly batch?: undefined; readonly firstPage: Page };

/** The reply of claim.lua; see there. */
type ClaimReply = [
  continues: number,
  cursor: string,
  more: number,
  batch: [keys: number, entries: number],
  page: [keys: number, entries: number, bytes: number],
  orderJson: string,
  sumLines: string,
  records: string[],
  whole: [
    sequence: number,
    token: string,
    epoch: string,
    updates: number,
    reclaimed: number,
    time: number,
    claimed: number,
    popped: number,
    dropped: number,
  ],
];

/** Ids of entries, and buckets of ids of counters, in one call, which takes Redis about a millisecond. */
const TRIM_AT_ONCE = [1000, 100] as const;

export class Flight implements FlightCheck {
  readonly #redis: RedisConnection;
  readonly #keys: Keys;
  readonly #limits: FlightLimits;
  readonly #barrier: ClaimBarrier | undefined;
  readonly #claim: Script<ClaimReply | null>;
  readonly #ack: Script<[done: number, updates?: number, items?: number]>;
  readonly #rewind: Script<number>;
  readonly #trim: Script<number>;
  /** Bytes of replies under way, over all partitions: they share a connection. */
  readonly #replies = new Budget(REPLY_BYTES);

  /** @param barrier runs each claim; without one, claims are only in the memory of the primary */
  constructor(redis: RedisConnection, keys: Keys, limits: FlightLimits, barrier?: ClaimBarrier) {
    this.#barrier = barrier;
    this.#redis = redis;
    this.#keys = keys;
    this.#limits = limits;
    this.#claim = defineScript(redis, 'claim', new URL('./claim.lua', import.meta.url));
    this.#ack = defineScript(redis, 'ack', new URL('./ack.lua', import.meta.url));
    this.#rewind = defineScript(redis, 'rewind', new URL('./rewind.lua', import.meta.url));
    this.#trim = defineScript(redis, 'trim', new URL('./trim.lua', import.meta.url));
  }

  /**
   * The batch in flight, or a new one of pending updates; undefined if there are none.
   * @param firstPage if it was read before; another batch is returned if that one is gone
   * @throws ClaimNotDurableError
   */
  async claim(partition: number, firstPage?: Page): Promise<Batch | undefined> {
    const claim = (connection: RedisConnection) => claimPages(this.#asker(connection, partition), firstPage);
    const pages = await (this.#barrier ? this.#barrier.run(partition, claim) : claim(this.#redis));
    return pages ? joinPages(partition, pages) : undefined;
  }

  /**
   * Claims each partition's batch if it is short. The first calls go out together, and one barrier confirms
   * them: the partitions must be on one server.
   * @returns for each partition what it has, undefined without pending updates, or the error of its call
   * @throws ClaimNotDurableError, or the error of the client if no call was answered
   */
  async claimShort(
    partitions: readonly number[],
  ): Promise<Map<number, PromiseSettledResult<ShortClaim | undefined>>> {
    const claimOne = async (connection: RedisConnection, partition: number) => {
      const ask = this.#asker(connection, partition);
      const firstPage = await claimFirstPage(ask);
      if (!firstPage) return undefined;
      if (!isShort(firstPage)) return { firstPage };
      const pages = await claimPages(ask, firstPage);
      return pages && { batch: joinPages(partition, pages) };
    };
    const claim = async (connection: RedisConnection) => {
      const settled = await Promise.allSettled(partitions.map(one => claimOne(connection, one)));
      // The connection or its server is to blame, not a partition.
      if (settled.every(({ status }) => status === 'rejected'))
        throw (settled[0] as PromiseRejectedResult).reason;
      return new Map(partitions.map((partition, at) => [partition, settled[at]!]));
    };
    return this.#barrier ? this.#barrier.run(partitions[0]!, claim) : claim(this.#redis);
  }

  #asker(connection: RedisConnection, partition: number): AskPage {
    const claim = this.#claim.on(connection);
    const { batchKeys, batchEntries } = this.#limits;
    return async ({ cursor, keys, entries, updates, items, bytes }) => {
      const reply = await this.#replies.run(bytes, () =>
        claim(
          ...([this.#keys.state(partition), this.#keys.owner, randomToken()] as const),
          ...[batchKeys, batchEntries, items, bytes, cursor, keys, entries, updates],
        ),
      );
      return reply ? parsePage(reply) : undefined;
    };
  }

  partitionOf(account: string): number {
    return this.#keys.partitionOf(account);
  }

  async ack(batch: Batch, outcome: Outcome): Promise<AckResult> {
    const [done, pendingUpdates = 0, pendingItems = 0] = await this.#ack(
      this.#keys.state(batch.partition),
      batch.token,
      this.#limits.idempotencyWindowMs,
      // Redis may have forgotten the earlier quarantined ones, whose receipts must look in quarantine too.
      outcome.quarantined + (outcome.quarantinedBefore ?? 0),
      namesToForget(batch),
      ...outcome.late.flatMap(item => ['p', item]),
      ...(outcome.reload ?? []).flatMap(item => [item[0]!, item.slice(1)]),
    );
    return { acknowledged: done === 1, pendingUpdates, pendingItems };
  }

  async inFlight(batch: Batch): Promise<boolean> {
    const { token } = await readState(this.#redis, this.#keys, batch.partition, ['token']);
    return token === batch.token;
  }

  async rewind(batch: Batch, sequence: number, epoch: string): Promise<boolean> {
    return (
      (await this.#rewind(
        this.#keys.state(batch.partition),
        batch.token,
        batch.sequence,
        sequence,
        epoch,
      )) === 1
    );
  }

  /** Removes expired ids. */
  async trim(partition: number): Promise<void> {
    const { idempotencyLimit } = this.#limits;
    while ((await this.#trim(this.#keys.state(partition), idempotencyLimit, ...TRIM_AT_ONCE)) === 1);
  }
}

/** The names of the ids of the batch's credits, holds and ends of holds, as id-name.lua makes them. */
function namesToForget({ entries }: Batch): string {
  const names = entries
    .filter(entry => entry.hold !== undefined || creditedBy(entry) !== undefined)
    .map(({ item, id }) => `p${idText(item, id)}`);
  return names.length === 0 ? '' : JSON.stringify(names);
}

/** Exported for a test that calls the script by itself. */
export function parsePage([
  continues,
  cursor,
  more,
  batch,
  page,
  orderJson,
  sumLines,
  records,
  whole,
]: ClaimReply): Page {
  const [batchKeys, batchEntries] = batch;
  const [keys, entries, bytes] = page;
  const counters = parseCounters(orderJson, sumLines);
  const [sequence, token, epoch, ofBatch, reclaimed, time, claimed, popped, dropped] = whole;
  return {
    continues: continues === 1,
    cursor,
    batch: { keys: batchKeys, entries: batchEntries },
    ...{ keys, entries, bytes },
    more: more === 1,
    counters,
    updates: counters.reduce((sum, { updates }) => sum + updates, 0),
    records,
    whole: {
      ...{ sequence, token, epoch, claimed, dropped, popped },
      updates: ofBatch,
      reclaimed: reclaimed === 1,
      claimedAt: time,
    },
  };
}
