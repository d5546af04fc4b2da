/** An engine without servers for the torture's own tests: it counts updates as Redis and MySQL would, or makes a mistake. */
import { seededRandom } from '../../scripts/load/zipf.ts';
import type { HeldEntry, HeldPoints, Holdings } from '../../scripts/torture/holdings.ts';
import type { Update } from '../../scripts/torture/traffic.ts';
import {
  HoldEndedError,
  HoldExceededError,
  IdempotencyKeyReusedError,
  InsufficientPointsError,
  RedisUnavailableError,
  UnknownHoldError,
  UnknownOutcomeError,
} from '../../src/shared/errors.ts';
import { endId } from '../../src/shared/updates/hold.ts';
import type { HoldingUpdate, SummedUpdate, ValueUpdate } from '../../src/shared/updates/update.ts';

export type Mistake = 'none' | 'loses' | 'forgets ids' | 'keeps the first' | 'ends holds twice';

/** Holds of accounts, and how they ended. */
class HeldHolds {
  readonly #holdings: Holdings;
  readonly #rows = new Map<string, HeldPoints>();
  readonly #mistake: Mistake;

  constructor(holdings: Holdings, mistake: Mistake) {
    this.#holdings = holdings;
    this.#mistake = mistake;
  }

  /** @throws HoldEndedError and others, as a producer does */
  take(update: HoldingUpdate): { value: number; duplicate: boolean } {
    const { points: program, account } = update;
    const id = 'hold' in update ? update.id : 'post' in update ? update.post : update.void;
    const item = `${program} ${account}`;
    const row = this.#rows.get(`${item} ${id}`);
    const duplicate =
      'hold' in update ? this.#hold(update, item, row) : this.#end(update, id, this.#expired(row));
    return { value: this.#holdings.balances.get(item) ?? 0, duplicate };
  }

  /** What the open holds of an account keep. */
  held(item: string): number {
    const own = [...this.#rows.values()].filter(row => `${row.program} ${row.account}` === item);
    return own.reduce((sum, { status, amount }) => sum + (status === 'open' ? amount : 0), 0);
  }

  /** Ends all whose time will be over. */
  expireAll(): void {
    for (const row of this.#rows.values()) if (row.expiresAt !== null) this.#expired(row, row.expiresAt);
    this.#holdings.holds.push(...this.#rows.values());
  }

  #hold(
    update: Extract<HoldingUpdate, { hold: number }>,
    item: string,
    row: HeldPoints | undefined,
  ): boolean {
    const { points: program, account, id, hold: amount, expiresInMs } = update;
    if (row && row.amount !== amount) throw new IdempotencyKeyReusedError(program);
    if (row) return true;
    const balance = this.#holdings.balances.get(item) ?? 0;
    const held = this.held(item);
    if (balance - held < amount) throw new InsufficientPointsError(program, amount, balance, held, 0);
    const createdAt = Date.now();
    const expiresAt = expiresInMs === undefined ? null : createdAt + expiresInMs;
    const times = { createdAt, expiresAt, endedAt: null };
    this.#put({ program, account, id, amount, status: 'open', posted: 0, ...times });
    return false;
  }

  #end(update: Exclude<HoldingUpdate, { hold: number }>, id: string, row: HeldPoints | undefined): boolean {
    const { points: program, account } = update;
    if (!row) throw new UnknownHoldError(program, id);
    const posted = 'post' in update ? (update.amount ?? row.amount) : 0;
    const status = 'post' in update ? 'posted' : 'voided';
    if (posted > row.amount) throw new HoldExceededError(program, id, posted, row.amount);
    if (row.status === status && row.posted === posted) return true;
    if (row.status !== 'open' && this.#mistake !== 'ends holds twice')
      throw new HoldEndedError(program, id, row.status as 'posted', row.posted);
    this.#put({ ...row, status, posted, endedAt: Date.now() });
    if (posted > 0) {
      const item = `${program} ${account}`;
      const balanceAfter = this.#holdings.balances.get(item)! - posted;
      this.#holdings.balances.set(item, balanceAfter);
      const none = { transfer: null, other: null };
      this.#holdings.entries.push({
        program,
        account,
        id: endId(id),
        amount: -posted,
        balanceAfter,
        ...none,
      });
    }
    return false;
  }

  #expired(row: HeldPoints | undefined, now = Date.now()): HeldPoints | undefined {
    if (row?.status !== 'open' || row.expiresAt === null || now < row.expiresAt) return row;
    return this.#put({ ...row, status: 'expired', endedAt: now });
  }

  #put(row: HeldPoints): HeldPoints {
    this.#rows.set(`${row.program} ${row.account} ${row.id}`, row);
    return row;
  }
}

/** Holds updates as MySQL would. */
export class Held {
  readonly holdings: Holdings = {
    counters: new Map(),
    balances: new Map(),
    values: new Map(),
    entries: [] as HeldEntry[],
    losses: [],
    inTransit: new Map(),
    holds: [],
  };
  readonly holds: HeldHolds;
  readonly #mistake: Mistake;
  readonly #known = new Set<string>();
  readonly #random = seededRandom(7);

  constructor(mistake: Mistake) {
    this.#mistake = mistake;
    this.holds = new HeldHolds(this.holdings, mistake);
  }

  /** @throws an error, before or after it has counted the update */
  take(update: Update): { value: number; duplicate: boolean } {
    const roll = this.#random();
    if (roll < 0.005) throw new RedisUnavailableError('redis');
    const isOfHold = 'hold' in update || 'post' in update || 'void' in update;
    const answer = isOfHold
      ? this.holds.take(update)
      : 'value' in update
        ? this.#put(update)
        : this.#count(update);
    if (roll < 0.01) throw new UnknownOutcomeError();
    return answer;
  }

  #put({ value: name, key, is }: ValueUpdate): { value: number; duplicate: boolean } {
    const { values } = this.holdings;
    const item = `${name} ${key}`;
    const before = values.get(item);
    const keeps = { best: Math.max, least: Math.min }[name];
    const value = before === undefined || !keeps ? is : keeps(before, is);
    const isFirstKept = this.#mistake === 'keeps the first' && before !== undefined;
    if (!isFirstKept && (this.#mistake !== 'loses' || this.#random() >= 0.01)) values.set(item, value);
    return { value, duplicate: false };
  }

  #count(update: SummedUpdate): { value: number; duplicate: boolean } {
    const item = 'counter' in update ? `${update.counter} ${update.key}` : itemOf(update);
    const name = `${item} ${update.id}`;
    if (update.id !== undefined && this.#known.has(name) && this.#mistake !== 'forgets ids')
      return { value: 1, duplicate: true };
    if ('from' in update) throw new InsufficientPointsError(update.points, update.amount, 0, 0, 0);
    const sums = 'counter' in update ? this.holdings.counters : this.holdings.balances;
    const amount = 'counter' in update ? 1 : update.amount;
    const value = (sums.get(item) ?? 0) + amount;
    if (amount < 0 && value < this.holds.held(item))
      throw new InsufficientPointsError('', -amount, value - amount, 0, 0);
    this.#known.add(name);
    if (this.#mistake === 'loses' && this.#random() < 0.01) return { value, duplicate: false };
    sums.set(item, value);
    if ('account' in update) {
      const { points: program, account, id } = update;
      const none = { transfer: null, other: null };
      this.holdings.entries.push({ program, account, id, amount, balanceAfter: value, ...none });
    }
    return { value, duplicate: false };
  }
}

function itemOf(update: Exclude<SummedUpdate, { counter: string }>): string {
  return `${update.points} ${'from' in update ? update.from : update.account}`;
}
