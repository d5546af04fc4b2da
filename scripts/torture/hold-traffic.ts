/**
 * Holds of a torture and their ends, beside the other traffic of the same accounts. A part of the holds has ids that all
 * processes use, so that calls of several processes want to begin and to end the same hold.
 */
import type { HoldingUpdate } from '../../src/shared/updates/update.ts';
import type { Random } from '../load/zipf.ts';
import { accounts } from './traffic.ts';

/** A hold that was sent; perhaps it was refused. */
interface Sent {
  readonly points: string;
  readonly account: string;
  readonly id: string;
  readonly hold: number;
}

const sharedShare = 0.3;
/** A new shared hold is made so often, and the ends are of one of the newest. */
const sharedEveryMs = 200;
const newest = 15;
/** Each process ends its own holds, the oldest first once there are so many, so that few points stay held. */
const openAtOnce = 20;
const expiringShare = 0.5;

export class HoldTraffic {
  readonly #name: string;
  readonly #random: Random;
  readonly #open: Sent[] = [];
  #ids = 0;

  /** @param name of the process, which is part of the ids */
  constructor(name: string, random: Random) {
    this.#name = name;
    this.#random = random;
  }

  next(): HoldingUpdate {
    if (this.#random() < sharedShare) {
      const shared = this.#shared();
      return this.#random() < 0.4 ? this.#hold(shared) : this.#end(shared);
    }
    if (this.#open.length >= openAtOnce) return this.#end(this.#open.shift()!);
    const known = this.#open[this.#whole(this.#open.length)];
    if (!known || this.#random() < 0.5) return this.#hold(this.#own());
    return this.#random() < 0.1 ? this.#again(known) : this.#end(known);
  }

  #own(): Sent {
    const program = this.#random();
    const sent = {
      points: program < 0.6 ? 'loyalty' : program < 0.8 ? 'stars' : 'credits',
      account: `a${this.#whole(accounts)}`,
      id: `${this.#name}-hold-${this.#ids++}`,
      hold: 1 + this.#whole(30),
    };
    this.#open.push(sent);
    return sent;
  }

  /** The same for every process at the same time, if its clock is right. */
  #shared(): Sent {
    const number = Math.floor(Date.now() / sharedEveryMs) - this.#whole(newest);
    const points = ['loyalty', 'stars', 'credits'][number % 3]!;
    return { points, account: `a${number % accounts}`, id: `shared-${number}`, hold: 1 + (number % 30) };
  }

  #hold(sent: Sent): HoldingUpdate {
    if (this.#random() >= expiringShare) return { ...sent };
    return { ...sent, expiresInMs: this.#random() < 0.5 ? 100 + this.#whole(400) : 500 + this.#whole(3000) };
  }

  /** Now and then with another amount, which Sluice must refuse. */
  #again(sent: Sent): HoldingUpdate {
    return this.#hold({ ...sent, hold: sent.hold + this.#whole(2) });
  }

  #end({ points, account, id, hold }: Sent): HoldingUpdate {
    const roll = this.#random();
    if (roll < 0.35) return { points, account, void: id };
    if (roll < 0.65) return { points, account, post: id };
    // Now and then more than is held, which Sluice must refuse.
    return { points, account, post: id, amount: 1 + this.#whole(hold + 1) };
  }

  #whole(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}
