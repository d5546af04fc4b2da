/** Operators who replay or drop what MySQL refused. */
import { ask, type Steps, wait } from '../steps.ts';
import { type Row, replay } from './mysql.ts';
import type { World } from './world.ts';

export function* operate(world: World): Steps<void> {
  const { random } = world;
  const isSent = ({ id }: Row) => world.redis.entries.some(({ row }) => row === id);
  const waiting = () =>
    world.tables.quarantine.filter(row => row.cause === 'refused' && !(row.isTaken && isSent(row)));
  yield* wait('an operator decides', () => (world.isCalm || world.operations > 0) && waiting().length > 0);
  world.operations--;
  const { id, entry, isTaken } = random.pick(waiting());
  // A credit that is dropped may have been spent.
  if (!isTaken && (entry.balance > 0 || random.chance(0.5))) {
    yield* world.transaction(transaction =>
      world.statement(transaction, `replay ${entry.id}`, tables => replay(tables, world, id) || undefined),
    );
    return;
  }
  if (!isTaken) yield* take(world, id);
  yield* ask(`drop ${entry.id}`, () => {
    if (!world.tables.row(id)?.isTaken) return;
    world.dropped.add(entry.id);
    world.redis.amend(id, -entry.balance);
  });
}

/** Only an update that is taken may be dropped, and only once. */
function* take(world: World, id: number): Steps<void> {
  yield* world.transaction(transaction =>
    world.statement(transaction, `take ${id}`, tables => {
      const row = tables.row(id);
      if (!row || row.isTaken || row.cause !== 'refused') return undefined;
      tables.replace({ ...row, isTaken: true });
      return true;
    }),
  );
}
