/** The callers of the producers: what they ask for, what they are answered, and what they repeat. */
import type { Mark } from '../../src/producer/waiting.ts';
import { type CheckedUpdate, checkUpdate, type Update } from '../../src/shared/updates/update.ts';
import { BAD_AMOUNT } from './mysql.ts';
import { definitions, MOST_UPDATES, type World } from './world.ts';

/** An update, sent once by a user. A repetition under the same id is another one with the same `identity`. */
export interface Asked {
  readonly uid: number;
  readonly identity: number;
  readonly update: CheckedUpdate;
  readonly users: Users;
  /** How often it was repeated after an unknown outcome. */
  readonly repeats: number;
  readonly notBefore: number;
  state: 'waiting' | 'sent' | 'accepted' | 'duplicate' | 'refused' | 'unknown';
  sender: string;
}

const COUNTER_KEYS = ['a', 'a', 'b', 'c', 'd', 'bad'];
const ACCOUNT_KEYS = ['1', '1', '2'];
/** More of them, so that a walk has more than one page. */
const RANKED_ACCOUNTS = ['1', '1', '2', '3', '4', '5', '6'];
const MOST_REPEATS = 2;

interface Accepted {
  readonly value: number | null;
  readonly duplicate: boolean;
  readonly mark: Mark;
}

export class Users {
  readonly asked: Asked[] = [];
  /** The distinct keys that they ask for. */
  readonly keys: { readonly kind: 'c' | 'p'; readonly item: string }[] = [];
  readonly queue: Asked[] = [];
  receipts: { readonly asked: Asked; readonly accepted: Accepted }[] = [];

  /** @param withinMs half of the calls come at once, the others within this time */
  constructor(world: World, calls: number, withinMs: number) {
    for (let identity = 0; identity < calls; identity++) {
      const isLater = withinMs > 0 && world.random.chance(0.5);
      const at = isLater ? world.now + world.random.below(withinMs) : 0;
      this.#ask(checkUpdate(anyUpdate(world, identity), definitions), identity, 0, at);
    }
  }

  #ask(update: CheckedUpdate, identity: number, repeats: number, notBefore: number): void {
    if (this.asked.length >= MOST_UPDATES) return;
    const uid = this.asked.length;
    const asked: Asked = {
      uid,
      identity,
      update,
      users: this,
      repeats,
      notBefore,
      state: 'waiting',
      sender: '',
    };
    this.asked.push(asked);
    const { kind, item } = update;
    if (!this.keys.some(key => key.item === item)) this.keys.push({ kind: kind as 'c' | 'p', item });
    this.queue.push(asked);
  }

  /** Takes one to three calls, to be made together. */
  take(world: World, sender: string): Asked[] {
    if (world.calm && !world.random.chance(0.3)) return [];
    const most = 1 + world.random.below(3);
    const taken: Asked[] = [];
    for (let at = 0; at < this.queue.length && taken.length < most; ) {
      if (this.queue[at]!.notBefore <= world.now) taken.push(...this.queue.splice(at, 1));
      else at++;
    }
    for (const asked of taken) {
      asked.state = 'sent';
      asked.sender = sender;
    }
    return taken;
  }

  anyKey(world: World): { kind: 'c' | 'p'; item: string } {
    return world.random.pick(this.keys);
  }

  onAccepted(world: World, asked: Asked, accepted: Accepted): void {
    asked.state = accepted.duplicate ? 'duplicate' : 'accepted';
    world.checker.onAcknowledged(asked);
    if (world.random.chance(0.5)) this.receipts.push({ asked, accepted });
    // The id may come again later, perhaps when Redis has forgotten it.
    const { kind, id } = asked.update;
    const again = kind === 'p' || id !== '';
    if (again && asked.repeats === 0 && world.random.chance(0.5))
      this.#ask(asked.update, asked.identity, MOST_REPEATS, world.now + world.random.below(60));
  }

  onRefused(world: World, asked: Asked): void {
    asked.state = 'refused';
    world.checker.onRefused(world, asked);
  }

  /** A failed call: an unknown outcome is repeated if it has an id, a certain failure always. */
  onFailed(world: World, asked: Asked, unknown: boolean): void {
    asked.state = unknown ? 'unknown' : 'refused';
    if (!unknown) world.checker.onRefused(world, asked);
    const { id } = asked.update;
    const repeatable = !unknown || id !== '';
    if (repeatable && asked.repeats < MOST_REPEATS)
      this.#ask(asked.update, asked.identity, asked.repeats + 1, world.now);
  }

  /** A receipt cannot tell what became of its update: an entry is sent again under its id. */
  onPersistenceUnknown(world: World, { update, identity, repeats }: Asked): void {
    if (update.kind === 'p' && repeats < MOST_REPEATS) this.#ask(update, identity, repeats + 1, world.now);
  }

  /** The producer died: calls without an answer have an unknown outcome. */
  onProducerGone(world: World, name: string): void {
    for (const asked of this.asked)
      if (asked.state === 'sent' && asked.sender === name) this.onFailed(world, asked, true);
  }
}

function anyUpdate(world: World, identity: number): Update {
  const { random, ranked } = world;
  const counters = ranked ? (ranked.kind === 'c' ? 0.75 : 0.25) : 0.5;
  if (random.chance(counters)) {
    const by = random.chance(0.8) ? 1 + random.below(9) : -1 - random.below(9);
    const id = random.chance(0.3) ? `i${identity}` : undefined;
    return { counter: 'views', key: random.pick(COUNTER_KEYS), by, id };
  }
  let amount = random.chance(0.6) ? 1 + random.below(9) : -1 - random.below(9);
  if (world.amending && world.choices.chance(0.4)) amount = BAD_AMOUNT * Math.sign(amount);
  return {
    points: 'loyalty',
    account: random.pick(world.ranked ? RANKED_ACCOUNTS : ACCOUNT_KEYS),
    amount,
    id: `i${identity}`,
  };
}
