/** Updates that MySQL refuses until somebody mends the cause, and the operators' functions for them. */
import { FailedUpdates } from '../../src/replay/failed.ts';
import type { ReplaySeam } from '../../src/replay/replay-one.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { openQueue } from '../../src/shared/redis/queue.ts';
import { openTables } from '../../src/shared/values/mapping.ts';
import { definitions, type Engine, openEngine } from './engine.ts';

export const author = { operator: 'olga' };

const TRIGGERS = {
  bad_counters:
    "BEFORE INSERT ON sluice_counters FOR EACH ROW IF NEW.counter_key LIKE 'bad%' THEN SIGNAL SQLSTATE '45000'; END IF",
  bad_entries:
    "BEFORE INSERT ON sluice_entries FOR EACH ROW IF NEW.entry_id LIKE 'bad%' THEN SIGNAL SQLSTATE '45000'; END IF",
};

/** Makes MySQL refuse counter keys and entry ids that begin with "bad". */
export async function poison({ database }: Engine): Promise<void> {
  for (const [name, text] of Object.entries(TRIGGERS)) await database.query(`CREATE TRIGGER ${name} ${text}`);
}

export async function mend({ database }: Engine): Promise<void> {
  for (const name of Object.keys(TRIGGERS)) await database.query(`DROP TRIGGER ${name}`);
}

/** Puts `count` counters and as many entries into quarantine; number n has the amount n + 1. */
export async function failSome(engine: Engine, count: number, from = 0): Promise<void> {
  const sluice = await engine.producer();
  const numbers = Array.from({ length: count }, (_, i) => from + i);
  await sluice.apply(numbers.map(n => ({ counter: 'views', key: `bad${n}`, by: n + 1 })));
  await sluice.apply(
    numbers.map(n => ({
      points: 'loyalty',
      account: `${n % 3}`,
      amount: n + 1,
      id: `bad${n}`,
      reason: 'why',
      metadata: { n },
    })),
  );
  await engine.drain();
}

/** An engine with `count` failed counters and as many failed entries. */
export async function poisoned(count: number): Promise<Engine> {
  const engine = await openEngine();
  await poison(engine);
  await failSome(engine, count);
  return engine;
}

export async function openFailed(
  engine: Engine,
  { seam }: { seam?: ReplaySeam } = {},
): Promise<FailedUpdates> {
  const { keys, settings, aligner, log } = engine;
  const { redis, database } = engine.own;
  const queue = openQueue(redis, keys);
  engine.onClose(() => queue.close());
  const parsed = parseDefinitions(definitions);
  return new FailedUpdates({
    redis,
    address: 'test',
    keys,
    settings,
    aligner,
    queue,
    log,
    database,
    definitions: parsed,
    tables: await openTables(database, parsed),
    seam,
  });
}

/** Numbers of the quarantined updates. */
export async function quarantined({ database }: Engine): Promise<number[]> {
  return (await database.query('SELECT id FROM sluice_quarantine ORDER BY id')).map(row => Number(row.id));
}

/** Keys of failSome whose live value differs from the sum of MySQL, quarantine, in flight and pending. */
export async function drift(engine: Engine, count: number): Promise<string[]> {
  const wanted = [
    ...Array.from({ length: count }, (_, n) => ['c', 'views', `bad${n}`] as const),
    ...['0', '1', '2'].map(account => ['p', 'loyalty', account] as const),
  ];
  const wrong: string[] = [];
  for (const [kind, name, key] of wanted) {
    const { live, expected } = await engine.compare(kind, name, key);
    if (live !== undefined && live !== expected) wrong.push(`${name} ${key}: ${live}, not ${expected}`);
  }
  return wrong;
}
