/** Sends entries that workers make to their partitions: credits of transfers, and ends of holds whose time is over. */
import type { Logger } from 'pino';
import { randomToken, within } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import { RedisUnavailableError } from '../shared/errors.ts';
import { itemOf } from '../shared/item.ts';
import type { Position } from '../shared/partition/watermark.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import { redisError } from '../shared/redis/errors.ts';
import { Groups } from '../shared/redis/groups.ts';
import type { Keys } from '../shared/redis/keys.ts';
import type { MemoryWatch } from '../shared/redis/memory-watch.ts';
import type { FlushQueue } from '../shared/redis/queue.ts';
import { defineScript, type Script } from '../shared/redis/script.ts';
import { WakeUps } from '../shared/redis/wake-ups.ts';
import { creditId, writePayload } from '../shared/updates/record.ts';
import type { Transfer } from './transfers.ts';

export interface CreditsParts {
  readonly redis: RedisConnection;
  readonly address: string;
  readonly keys: Keys;
  readonly settings: Settings;
  readonly memory: Pick<MemoryWatch, 'isOver'>;
  readonly queue: FlushQueue;
  readonly log: Logger;
}

/** What became of the credits of one call. */
export type SendResult<Row> =
  /** The watermark does not fit the partition in Redis: read it anew, together with the rows. */
  | { readonly status: 'again'; readonly why: 'behind' | 'ahead' | 'epoch' | 'absent' }
  | {
      readonly status: 'sent';
      /** Those whose entries are pending or in flight now. */
      readonly taken: readonly Row[];
      /** How many of them were not before. */
      readonly accepted: number;
      /** Those that the partition does not take now. */
      readonly refused: number;
    };

/** An entry as the script takes it: item, id, amount, payload; of a hold's end also what it holds, and its time. */
export type SentEntry = readonly [
  item: string,
  id: string,
  amount: number,
  payload: string,
  held: number,
  expiresAt: number,
];

/** The time of a hold is not over by the clock of this Redis. */
const NOT_YET = 'w';
/** Credits in one call: it takes Redis a few milliseconds. */
export const CREDITS_AT_ONCE = 500;
/** The watermark may be locked meanwhile, and ioredis would wait for a lost Redis for ever. */
const ANSWER_MS = 3000;

export class Credits {
  readonly #parts: CreditsParts;
  readonly #credit: Script<(string | number)[]>;
  readonly #wakeUps: WakeUps;
  readonly #groups: Groups;

  constructor(parts: CreditsParts) {
    const { redis, keys, queue, log } = parts;
    this.#parts = parts;
    this.#credit = defineScript(redis, 'credit', new URL('./credit.lua', import.meta.url));
    this.#wakeUps = new WakeUps(queue, log);
    this.#groups = new Groups(redis, keys);
  }

  /** Sends the scheduled wake-ups at once. */
  close(): Promise<void> {
    return this.#wakeUps.close();
  }

  /**
   * @param watermark of the partition, read in one statement with the rows, or before they were committed
   * @param rows of this partition, `CREDITS_AT_ONCE` at most
   * @throws RedisUnavailableError (the outcome is unknown, a repetition safe), RedisOutOfMemoryError,
   * AccessDeniedError, RedisUnsuitableError
   */
  async send<Row>(
    partition: number,
    watermark: Position,
    rows: readonly Row[],
    entryOf: (row: Row) => SentEntry,
  ): Promise<SendResult<Row>> {
    const { address, keys, settings, memory } = this.#parts;
    const { epoch, sequence, token } = watermark;
    const { leaseMs, pendingEntriesLimit, pendingAgeLimitMs } = settings;
    const isOver = (await memory.isOver(partition)) ? 1 : 0;
    const limits = [leaseMs, pendingEntriesLimit, pendingAgeLimitMs, isOver];
    const entries = JSON.stringify(rows.flatMap(entryOf));
    const call = this.#credit(
      ...([keys.state(partition), epoch, sequence, token, keys.owner] as const),
      ...limits,
      randomToken(),
      entries,
    );
    const reply = await within(
      call.catch(error => redisError(error, address)),
      ANSWER_MS,
    );
    if (reply === undefined) throw new RedisUnavailableError(address);
    if (reply instanceof Error) throw reply;
    const [status, detail, ...results] = reply;
    if (status === 'epoch' || status === 'absent') return { status: 'again', why: status };
    if (status === 'again') return { status, why: detail as 'behind' | 'ahead' };
    if (detail === 1) this.#wakeUps.after(this.#groups.wakeUpOf(partition), settings.flushIntervalMs);
    const taken = rows.filter((_, at) => results[at] === 'a' || results[at] === 'd');
    const accepted = results.filter(result => result === 'a').length;
    const refused = results.filter(result => result !== 'a' && result !== 'd' && result !== NOT_YET).length;
    return { status: 'sent', taken, accepted, refused };
  }
}

export function creditOf({ transfer, program, from, to, amount }: Transfer): SentEntry {
  const id = creditId(transfer);
  const entry = { program, account: to, id, amount, reason: null, metadata: null, other: from };
  return [itemOf(program, to), id, amount, writePayload(entry), 0, 0];
}
