/** Sends the credits of transfers to the partitions of their destinations. */
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
export type SendResult =
  /** The watermark does not fit the partition in Redis: read it anew, together with the rows. */
  | { readonly status: 'again'; readonly why: 'behind' | 'ahead' | 'epoch' | 'absent' }
  | {
      readonly status: 'sent';
      /** Credits that are pending or in flight now. */
      readonly taken: readonly Transfer[];
      /** How many of them were not before. */
      readonly accepted: number;
      /** Credits for which the partition has no room now. */
      readonly refused: number;
    };

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
   * @param watermark of the partition, read in one statement with the transfers, or before they were committed
   * @param transfers to this partition, `CREDITS_AT_ONCE` at most
   * @throws RedisUnavailableError (the outcome is unknown, a repetition safe), RedisOutOfMemoryError,
   * AccessDeniedError, RedisUnsuitableError
   */
  async send(partition: number, watermark: Position, transfers: readonly Transfer[]): Promise<SendResult> {
    const { address, keys, settings, memory } = this.#parts;
    const { epoch, sequence, token } = watermark;
    const { leaseMs, pendingEntriesLimit, pendingAgeLimitMs } = settings;
    const isOver = (await memory.isOver(partition)) ? 1 : 0;
    const limits = [leaseMs, pendingEntriesLimit, pendingAgeLimitMs, isOver];
    const credits = JSON.stringify(transfers.flatMap(creditOf));
    const call = this.#credit(
      ...([keys.state(partition), epoch, sequence, token, keys.owner] as const),
      ...limits,
      randomToken(),
      credits,
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
    const taken = transfers.filter((_, at) => results[at] === 'a' || results[at] === 'd');
    const accepted = results.filter(result => result === 'a').length;
    return { status: 'sent', taken, accepted, refused: transfers.length - taken.length };
  }
}

/** The credit as the script takes it: item, id, amount, payload. */
function creditOf({ transfer, program, from, to, amount }: Transfer): (string | number)[] {
  const id = creditId(transfer);
  const entry = { program, account: to, id, amount, reason: null, metadata: null, other: from };
  return [itemOf(program, to), id, amount, writePayload(entry)];
}
