// A producer's spans on their way to Redis: one request at a time, and no close() waits for a silent Redis.

import { context, TraceFlags, trace } from '@opentelemetry/api';
import { expect, it } from 'vitest';
import { CallTraces } from '../../src/producer/call-traces.ts';
import type { Mark } from '../../src/producer/waiting.ts';
import type { RedisConnection } from '../../src/shared/redis/connections.ts';
import { Keys } from '../../src/shared/redis/keys.ts';

const mark = { partition: 0, updates: 7 } as Mark;

/** A Redis that answers when it is told to. */
function slowRedis() {
  const sent: string[][] = [];
  const answers: (() => void)[] = [];
  const pipeline = () => {
    const commands = {
      rpush: (_: string, ...elements: string[]) => {
        sent.push(elements);
        return commands;
      },
      ltrim: () => commands,
      pexpire: () => commands,
      exec: () => new Promise<void>(resolve => answers.push(resolve)),
    };
    return commands;
  };
  return { redis: { pipeline } as unknown as RedisConnection, sent, answers };
}

const api = { context, trace, TraceFlags } as never;
const turn = () => new Promise(resolve => setImmediate(resolve));

it('spans gather while a request is under way, and settled() waits for all of them', async () => {
  const { redis, sent, answers } = slowRedis();
  const traces = new CallTraces(redis, new Keys('t', 1), api);
  traces.note(mark, 'a');
  await turn();
  traces.note(mark, 'b');
  traces.note(mark, 'c');
  await turn();
  expect(sent).toEqual([['7 a']]);
  answers.shift()!();
  const drained = traces.drained();
  await turn();
  expect(sent).toEqual([['7 a'], ['7 b', '7 c']]);
  answers.shift()!();
  await drained;
  traces.note(mark, 'd');
  await turn();
  expect(sent).toHaveLength(3);
});

it('settled() resolves although Redis does not answer', async () => {
  const { redis, sent } = slowRedis();
  const traces = new CallTraces(redis, new Keys('t', 1), api);
  traces.note(mark, 'a');
  await traces.drained();
  expect(sent).toHaveLength(1);
});
