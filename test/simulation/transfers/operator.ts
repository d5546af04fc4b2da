/** Operators who decide about debits in quarantine and about rows that are aside. */
import { ask, type Steps, wait } from '../steps.ts';
import { addEntry, insertRow, type QuarantineRow, removeQuarantined, type TransferRow } from './mysql.ts';
import { ACCOUNTS, PARTITIONS, partitionOf, type World } from './world.ts';

const ALL_ACCOUNTS = PARTITIONS.flatMap(partition => Object.keys(ACCOUNTS[partition]!));

export function* operate(world: World): Steps<void> {
  const { random } = world;
  const mayAct = ({ state }: TransferRow) => state === 'aside' || world.bug === 'operatorOpen';
  const waiting = () => [
    ...world.tables.quarantine,
    ...[...world.tables.transfers.values()].filter(row =>
      world.isCalm ? row.state === 'aside' : mayAct(row),
    ),
  ];
  yield* wait('an operator decides', () => (world.isCalm || world.operations > 0) && waiting().length > 0);
  world.operations--;
  const found = random.pick(waiting());
  if ('transfer' in found) return yield* decideAside(world, found, mayAct);
  if (found.isTaken || (found.entry.kind !== 'credit' && random.chance(0.4))) yield* drop(world, found);
  else yield* replay(world, found);
}

/** `retry`, `return`, or `return --to`, under the lock of the watermark. */
function* decideAside(world: World, found: TransferRow, mayAct: (row: TransferRow) => boolean): Steps<void> {
  const { random, bug } = world;
  const { transfer, from } = found;
  const account = random.chance(0.4) ? found.account : random.chance(0.5) ? from : random.pick(ALL_ACCOUNTS);
  const partition = partitionOf(found.account);
  if (bug === 'operatorUnlocked') {
    const row = yield* ask('read row', () => world.tables.transfers.get(transfer));
    if (!row || !mayAct(row)) return;
    yield {
      name: `open ${transfer} for ${account}`,
      until: () => !world.isLocked(partition),
      run: () =>
        world.autocommit(({ transfers }) => {
          if (transfers.has(transfer)) transfers.set(transfer, { ...row, account, state: 'open' });
        }),
    };
    return;
  }
  yield* world.transaction(function* (transaction) {
    yield* world.lock(transaction, partition);
    yield* world.statement(transaction, `open ${transfer} for ${account}`, () => {
      const row = world.tables.transfers.get(transfer);
      if (!row || !mayAct(row) || partitionOf(row.account) !== partition) return;
      transaction.write(({ transfers }) => transfers.set(transfer, { ...row, account, state: 'open' }));
    });
    return true;
  });
}

/** Takes the update, then sends an amendment; whoever sees an update that is taken sends it again. */
function* drop(world: World, { row, entry }: QuarantineRow): Steps<void> {
  yield {
    name: `take ${entry.id}`,
    // A replay may have locked it.
    until: () => !world.isLocked(partitionOf(entry.account)),
    run: () =>
      world.autocommit(tables => {
        tables.quarantine = tables.quarantine.map(one => (one.row === row ? { ...one, isTaken: true } : one));
      }),
  };
  yield* ask(`drop ${entry.id}`, () => {
    if (!world.tables.quarantine.some(one => one.row === row && one.isTaken)) return;
    world.accepted.delete(entry.id);
    world.redis[partitionOf(entry.account)]!.amend(entry.account, row, -entry.amount);
  });
}

function* replay(world: World, { row }: QuarantineRow): Steps<void> {
  const found = world.tables.quarantine.find(one => one.row === row);
  if (!found) return;
  const { entry } = found;
  const { account, to, kind, transfer } = entry;
  yield* world.transaction(function* (transaction) {
    yield* world.lock(transaction, partitionOf(account));
    return yield* world.statement(transaction, `replay ${entry.id}`, () => {
      const current = world.tables.quarantine.find(one => one.row === row);
      if (!current || current.isTaken || world.moods[partitionOf(account)]!.debits !== 'takes')
        return undefined;
      const name = world.fresh('r');
      addEntry(transaction, entry, kind === 'credit' ? transfer : to && name);
      if (to && world.bug !== 'bareReplay') insertRow(transaction, entry, name);
      transaction.write(tables => {
        removeQuarantined(tables, row);
        if (transfer) tables.transfers.delete(transfer);
      });
      return true;
    });
  });
}
