// Which boards a worker works on: one that takes hours to build holds up no other.

import { pino } from 'pino';
import { expect, it, vi } from 'vitest';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import type { BoardBuilder, Progress } from '../../src/shared/ranks/builder.ts';
import type { Board } from '../../src/shared/ranks/reader.ts';
import { Ranks } from '../../src/worker/ranks.ts';

const definitions = parseDefinitions({
  counters: { huge: { ranked: true }, small: { ranked: true } },
  points: {},
});

function progress(phase: Progress['phase'], noted: number): Progress[] {
  const rest = { kept: true, left: 0, members: 0, idleMs: 0, cursor: '', build: 'b' };
  return [{ partition: 0, phase, noted, ...rest }];
}

it('a build that goes on for hours leaves the other boards their share', async () => {
  const steps: string[] = [];
  const builder = {
    step: async ({ name }: Board) => {
      steps.push(name);
      await new Promise(resolve => setTimeout(resolve, 5));
      const isHuge = name === 'huge';
      return { progress: progress(isHuge ? 'walk' : 'ready', isHuge ? 0 : 1), goesOn: isHuge };
    },
    begin: async () => [],
  } as unknown as BoardBuilder;
  const ranks = new Ranks({
    builder,
    definitions,
    circuit: { isOpen: false },
    random: () => 0.5,
    log: pino({ level: 'silent' }),
  });
  ranks.start();
  await vi.waitFor(() => expect(steps.filter(name => name === 'small').length).toBeGreaterThan(2), 20_000);
  await ranks.stop();
  expect(steps.filter(name => name === 'huge').length).toBeGreaterThan(20);
});
