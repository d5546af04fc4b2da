// A backfill in this process, which a test can stop between any two steps.

import { Copy, type CopyOptions, type CopyStep } from '../../src/backfill/copy.ts';
import { Remembered } from '../../src/backfill/remembered.ts';
import { checkSpec, NOTHING, OwnedRun } from '../../src/backfill/runs.ts';
import { Sender } from '../../src/backfill/send.ts';
import { checkSource } from '../../src/backfill/source.ts';
import { type SpecOptions, specOf } from '../../src/backfill/spec.ts';
import { Openings } from '../../src/producer/openings.ts';
import { type DefinitionsInput, parseDefinitions } from '../../src/shared/config/definitions.ts';
import { Crash, type Engine, definitions as engineDefinitions } from './engine.ts';

interface More extends Partial<CopyOptions> {
  readonly definitions?: DefinitionsInput;
  readonly again?: boolean;
  /** Rows that the first look found. */
  readonly found?: number;
}

/** Runs a backfill to its end, or until a seam throws. Returns its record. */
export async function backfill(
  engine: Engine,
  run: string,
  options: SpecOptions,
  { definitions: given = engineDefinitions, again = false, found = 0, ...more }: More = {},
) {
  const { name, redisUrl, mysqlUrl, settings, keys, inspector, log } = engine;
  const { database, redis } = engine.own;
  const definitions = parseDefinitions(given);
  const spec = specOf(options, definitions);
  await checkSpec(database, run, spec, again);
  const source = await database.session(connection => checkSource(connection, spec, definitions));
  const own = await OwnedRun.take(database, run, spec, {
    operator: 'test',
    counts: { ...NOTHING, found },
    again,
  });
  const openings = await Openings.open({
    redis: redisUrl,
    mysql: mysqlUrl,
    ...{ definitions, namespace: name, settings, log },
  });
  const remembered = new Remembered(redis, database, keys, settings.idempotencyWindowMs);
  const sender = new Sender(openings, 20_000);
  const parts = { database, keys, inspector, remembered, sender, definitions, source, spec, run: own };
  const copy = new Copy(parts, {
    ...{ page: 3, rate: undefined, lagMs: 60_000, skipUnusable: false, unproven: undefined, patienceMs: 0 },
    ...{ signal: new AbortController().signal, onProgress: () => {} },
    ...more,
  });
  try {
    await copy.run();
    return await own.read();
  } finally {
    await openings.close();
    await own.release();
  }
}

/**
 * A seam that ends the run at this step, as if the process were killed.
 * @param page from 1; 0 is the page that was under way when this process began
 */
export function crashAt(step: CopyStep, page: number) {
  let pages = 0;
  return (at: CopyStep) => {
    if (at === 'recorded') pages++;
    if (at === step && pages === page) throw new Crash(step);
  };
}
