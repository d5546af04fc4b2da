// The updates of the demo and the benchmarks: increments of counters and entries on accounts. Counters grow
// by one, so the sum of their values is the number of updates that arrived.

import type { HoldUpdate, PostUpdate, SummedUpdate, ValueUpdate } from '../../src/shared/updates/update.ts';
import { type Random, seededRandom, Zipf } from './zipf.ts';

export const definitions = {
  counters: { page_views: {} },
  // A wallet never lacks points, so that no transfer has to wait for another one.
  points: { loyalty: { floor: 0 }, wallet: { floor: -Number.MAX_SAFE_INTEGER } },
};

/** With values: versions from before them refuse these. */
const definitionsWithValues = {
  ...definitions,
  values: { max: { keep: 'max' }, last: { keep: 'last' } },
};

/** What the processes of this traffic need. */
export function definitionsOf({ values }: Pick<TrafficPlan, 'values'>) {
  return values ? definitionsWithValues : definitions;
}

export interface TrafficPlan {
  counterKeys: number;
  /** Exponent of Zipf's law for the keys: 1 by default, 0 for equally likely keys. */
  exponent?: number;
  accounts: number;
  /** Share of entries among the updates, 0 to 1. */
  pointsShare: number;
  /** Puts in place of increments: of each key the number of puts so far, so that MySQL has the same as of counters. */
  values?: 'max' | 'last';
  /** Whether all updates are transfers between accounts of `wallet`. */
  transfers?: boolean;
  /** Whether updates are holds on accounts of `wallet`, each with its post after it. */
  holds?: boolean;
  /** Part of the entry ids, so it must differ between producers that run at the same time. */
  seed: number;
}

export const counterKey = (rank: number) => `/articles/${rank}`;
export const accountName = (number: number) => `account-${number}`;
export const accountNumber = (name: string) => Number(name.slice('account-'.length));

/** Updates of a call, and for each the key's rank from 0, or -1 - the account's number. */
export interface Call {
  updates: (SummedUpdate | ValueUpdate | HoldUpdate | PostUpdate)[];
  targets: number[];
}

export class Traffic {
  readonly #plan: TrafficPlan;
  readonly #random: Random;
  readonly #zipf: Zipf;
  readonly #keys: string[];
  readonly #accounts: string[];
  /**
   * Each account's balance once all updates sent so far are accepted; a debit is sent only if it is covered.
   */
  readonly #balances: Float64Array;
  /** Puts by rank. */
  readonly #puts: Float64Array;
  #entries = 0;
  /** The last hold and its account, which is still to be posted. */
  #held: { readonly hold: HoldUpdate; readonly account: number } | undefined;

  constructor(plan: TrafficPlan) {
    this.#plan = plan;
    this.#random = seededRandom(plan.seed);
    this.#zipf = new Zipf(plan.counterKeys, plan.exponent ?? 1, this.#random);
    this.#keys = Array.from({ length: plan.counterKeys }, (_, rank) => counterKey(rank));
    this.#accounts = Array.from({ length: plan.accounts }, (_, number) => accountName(number));
    this.#balances = new Float64Array(plan.accounts);
    this.#puts = new Float64Array(plan.counterKeys);
  }

  call(size: number): Call {
    const call: Call = { updates: [], targets: [] };
    for (let at = 0; at < size; at++) {
      if (this.#plan.transfers) this.#addTransfer(call);
      else if (this.#plan.holds) this.#addHoldOrPost(call);
      else if (this.#plan.pointsShare > 0 && this.#random() < this.#plan.pointsShare) this.#addEntry(call);
      else this.#addIncrement(call);
    }
    return call;
  }

  /** Draws a rank to increment, for callers that make their own calls. */
  rank(): number {
    return this.#zipf.next();
  }

  #addIncrement(call: Call): void {
    const rank = this.#zipf.next();
    const { values } = this.#plan;
    const key = this.#keys[rank]!;
    this.#puts[rank] = this.#puts[rank]! + 1;
    if (values) call.updates.push({ value: values, key, is: this.#puts[rank]! });
    else call.updates.push({ counter: 'page_views', key, by: 1 });
    call.targets.push(rank);
  }

  #addEntry(call: Call): void {
    const account = Math.floor(this.#random() * this.#accounts.length);
    const points = 1 + Math.floor(this.#random() * 50);
    const isDebit = this.#balances[account]! >= points && this.#random() < 0.4;
    const amount = isDebit ? -points : points;
    this.#balances[account] = this.#balances[account]! + amount;
    call.updates.push({
      points: 'loyalty',
      account: this.#accounts[account]!,
      amount,
      id: `${this.#plan.seed}-${++this.#entries}`,
      reason: isDebit ? 'redeem' : 'purchase',
    });
    call.targets.push(-1 - account);
  }

  #addTransfer(call: Call): void {
    const accounts = this.#accounts;
    const from = Math.floor(this.#random() * accounts.length);
    const to = (from + 1 + Math.floor(this.#random() * (accounts.length - 1))) % accounts.length;
    const amount = 1 + Math.floor(this.#random() * 50);
    const id = `${this.#plan.seed}-${++this.#entries}`;
    call.updates.push({ points: 'wallet', from: accounts[from]!, to: accounts[to]!, amount, id });
    call.targets.push(-1 - from);
  }

  #addHoldOrPost(call: Call): void {
    if (this.#held) {
      const { hold, account } = this.#held;
      const { points, id, hold: amount } = hold;
      call.updates.push({ points, account: hold.account, post: id, amount });
      call.targets.push(-1 - account);
      this.#held = undefined;
      return;
    }
    const account = Math.floor(this.#random() * this.#accounts.length);
    const id = `${this.#plan.seed}-${++this.#entries}`;
    const amount = 1 + Math.floor(this.#random() * 50);
    const hold = { points: 'wallet', account: this.#accounts[account]!, hold: amount, id };
    this.#held = { hold, account };
    call.updates.push(hold);
    call.targets.push(-1 - account);
  }
}
