/** Users who send transfers and other entries, and send some of them again. */
import { ask, type Steps, wait } from '../steps.ts';
import type { Entry } from './redis.ts';
import { ACCOUNTS, PARTITIONS, partitionOf, type World } from './world.ts';

export type Update = Pick<Entry, 'account' | 'id' | 'amount' | 'to'>;

/** What a schedule's users want. */
export class Wishes {
  readonly todo: Update[] = [];
  readonly done: Update[] = [];
  repeats: number;

  constructor({ random }: World) {
    const accounts = PARTITIONS.flatMap(partition => Object.keys(ACCOUNTS[partition]!));
    const count = 2 + random.below(5);
    for (let at = 0; at < count; at++) {
      const account = random.pick(accounts);
      const others = accounts.filter(other => other !== account);
      const id = `u${at}`;
      const amount = -1 - random.below(3);
      if (random.chance(0.65)) this.todo.push({ account, id, amount, to: random.pick(others) });
      else this.todo.push({ account, id, amount: random.chance(0.7) ? amount : -amount });
    }
    this.repeats = random.below(3);
  }
}

export function* use(world: World, wishes: Wishes): Steps<void> {
  const { random } = world;
  yield* wait('users want', () => !world.isCalm && (wishes.todo.length > 0 || wishes.repeats > 0));
  const repeats =
    wishes.done.length > 0 && wishes.repeats > 0 && (wishes.todo.length === 0 || random.chance(0.2));
  if (!repeats && wishes.todo.length === 0) {
    wishes.repeats = 0;
    return;
  }
  if (repeats) wishes.repeats--;
  const update = random.pick(repeats ? wishes.done : wishes.todo);
  const answer = yield* ask(`send ${update.id}`, () => send(world, update));
  if (repeats || answer === 'cold' || answer === 'full') return;
  if (answer === 'refused' && random.chance(0.6)) return;
  wishes.todo.splice(wishes.todo.indexOf(update), 1);
  // A late earning is in the live value until its flush, so none is sent again here.
  if (answer !== 'refused' && update.amount < 0) wishes.done.push(update);
}

function send(world: World, { account, id, amount, to }: Update): string {
  const redis = world.redis[partitionOf(account)]!;
  const entry = { kind: 'entry', account, id, amount } as const;
  const answer = redis.apply(to === undefined ? entry : { ...entry, to });
  if (answer === 'accepted') world.accepted.set(id, account);
  return answer;
}

/** Keeps the destinations busy while rows are open. */
export function* crowd(world: World): Steps<void> {
  yield* wait('rows are open', () => world.isCrowded && world.crowd > 0 && world.tables.transfers.size > 0);
  for (const { account } of world.tables.transfers.values())
    yield* ask(`crowd ${account}`, () => {
      send(world, { account, id: world.fresh('crowd'), amount: 1 });
    });
  world.crowd--;
}
