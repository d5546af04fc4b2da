/** Users who hold, post, void and spend, send some of it again, and reuse ids. */
import { ask, OUTAGE, type Steps, script, wait } from '../steps.ts';
import type { Action, Answer } from './decide.ts';
import { HOLDS } from './record.ts';
import type { Call } from './redis.ts';
import { load } from './worker.ts';
import type { World } from './world.ts';

const MOST_SENDINGS = 3;
const MOST_LOADS = 4;

/** What a schedule's users want. */
export class Wishes {
  readonly #world: World;
  readonly todo: Action[] = [];
  readonly done: Action[] = [];
  /** Holds that somebody was told of. */
  readonly held = new Set<string>();
  repeats: number;
  #losses = 0;

  constructor(world: World) {
    this.#world = world;
    const { random } = world;
    const holds = random.chance(0.6) ? HOLDS.slice(0, 1) : HOLDS;
    for (const id of holds) {
      const amount = 2 + random.below(4);
      const expiresIn = random.chance(0.5) ? 0 : 5 + random.below(60);
      this.todo.push({ kind: 'hold', id, amount, expiresIn });
      // Somebody else uses the id too.
      if (random.chance(0.3)) this.todo.push({ kind: 'hold', id, amount: 1 + random.below(6), expiresIn: 0 });
      for (let ends = random.below(3); ends >= 0; ends--) this.todo.push(this.#end(id, amount));
    }
    for (let at = random.below(4); at > 0; at--) {
      const amount = random.chance(0.75) ? -1 - random.below(6) : 1 + random.below(2);
      this.todo.push({ kind: 'entry', id: `u${at}`, amount, expiresIn: 0 });
    }
    this.repeats = random.below(4);
  }

  #end(id: string, held: number): Action {
    const { random } = this.#world;
    if (random.chance(0.4)) return { kind: 'void', id, amount: 0, expiresIn: 0 };
    return { kind: 'post', id, amount: 1 + random.below(held + 1), expiresIn: 0 };
  }

  get areDone(): boolean {
    const isQuiet = this.todo.length === 0 && this.#losses === this.#world.losses;
    return isQuiet && (this.repeats === 0 || this.done.length === 0);
  }

  /** Undefined if nothing is wanted now. */
  next(): Action | undefined {
    const { random, losses } = this.#world;
    // Users who hear of a loss begin anew, and not all with what they wanted before.
    for (; this.#losses < losses; this.#losses++)
      this.todo.push(...this.done.filter(({ kind }) => kind !== 'entry').map(action => this.#again(action)));
    if (this.done.length > 0 && this.repeats > 0 && (this.todo.length === 0 || random.chance(0.2))) {
      this.repeats--;
      return this.#again(random.pick(this.done));
    }
    const ripe = this.todo.filter(({ kind, id }) => kind === 'hold' || kind === 'entry' || this.held.has(id));
    if (ripe.length > 0) return random.pick(random.chance(0.9) ? ripe : this.todo);
    return this.todo.length > 0 && random.chance(0.2) ? random.pick(this.todo) : undefined;
  }

  #again(action: Action): Action {
    const { random } = this.#world;
    if (action.kind === 'entry' || random.chance(0.6)) return action;
    if (action.kind === 'hold') return { ...action, amount: 1 + random.below(6) };
    return this.#end(action.id, 4);
  }

  learn(action: Action, { answer }: Answer): void {
    if (answer === 'cold' || answer === 'full') return;
    const { kind, id, amount } = action;
    if (kind === 'hold' && answer !== 'below the floor') this.held.add(id);
    const at = this.todo.indexOf(action);
    const isTriedAgain = answer === 'below the floor' || answer === 'no such hold';
    if (at < 0 || (isTriedAgain && this.#world.random.chance(0.5))) return;
    this.todo.splice(at, 1);
    // An earning that is sent again, after its id was forgotten, is live until its flush, so none is.
    if (kind !== 'entry' || (amount < 0 && answer === 'accepted')) this.done.push(action);
  }
}

export interface User {
  readonly name: string;
  calls: number;
}

/** Sends one action, again after a lost answer, and loads what is absent. */
export function* use(world: World, user: User, wishes: Wishes): Steps<void> {
  yield* wait('users want', () => !world.isCalm && !wishes.areDone);
  const action = yield* ask('choose', () => wishes.next());
  if (!action) return;
  for (let loads = 0; loads < MOST_LOADS; loads++) {
    const answer = yield* send(world, { ...action, caller: user.name, number: ++user.calls });
    if (!answer) return;
    wishes.learn(action, answer);
    if (answer.answer !== 'cold') return;
    const fields = action.kind === 'entry' ? ['account'] : ['account', action.id];
    yield* load(world, fields);
  }
}

function* send(world: World, call: Call): Steps<Answer | undefined> {
  const { kind, id, amount } = call;
  for (let sending = 1; sending <= MOST_SENDINGS; sending++)
    try {
      return yield* script(`${kind} ${id} ${amount}`, () => world.apply(call));
    } catch (error) {
      if (error !== OUTAGE) throw error;
    }
  return undefined;
}
