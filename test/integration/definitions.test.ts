// A worker with older definitions than its producers warns, since it cannot know the table of a new name.

import { expect, it } from 'vitest';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { createLog } from '../../src/shared/log.ts';
import { openEngine } from '../support/engine.ts';

it('a worker warns once about a name that it does not know, and writes its updates', async () => {
  const engine = await openEngine();
  const lines: string[] = [];
  const log = createLog('warn', { write: (line: string) => lines.push(line) });
  await engine.worker({}, {}, { definitions: parseDefinitions({ counters: { views: {} } }), log });
  const sluice = await engine.producer();
  for (let round = 0; round < 2; round++) {
    await (await sluice.counter('views').increment('k')).persisted();
    await (await sluice.counter('clicks').increment('k')).persisted();
    await (await sluice.points('loyalty').credit('1', 5, { id: `${round}` })).persisted();
  }
  const told = lines
    .map(line => JSON.parse(line))
    .filter(({ msg }) => msg.includes('definitions lack a name'));
  expect(told.map(({ kind, name }) => `${kind} ${name}`).toSorted()).toEqual([
    'counter clicks',
    'points loyalty',
  ]);
  expect(await engine.counterInMysql('clicks', 'k')).toBe(2);
});
