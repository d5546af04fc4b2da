// The wait of a start: for which errors, for how long, and what is logged.

import { expect, it } from 'vitest';
import { ConfigurationError, RedisUnavailableError } from '../../src/shared/errors.ts';
import { createLog } from '../../src/shared/log.ts';
import { whenReachable } from '../../src/shared/start-wait.ts';

const log = createLog('silent', 'stderr');
const away = () => new RedisUnavailableError('h:1');

it('a start retries until an attempt succeeds, and reports why it waits', async () => {
  let attempts = 0;
  const told: string[] = [];
  const attempt = async () => {
    if (++attempts < 4) throw away();
    return 'up';
  };
  const wait = {
    waitMs: 60_000,
    log,
    random: () => 0,
    onWait: (error: { code: string }) => told.push(error.code),
  };
  expect(await whenReachable(attempt, wait)).toBe('up');
  expect(told).toEqual(Array.from({ length: 3 }, () => 'REDIS_UNAVAILABLE'));
});

it.each([
  ['an error that waiting cannot cure', () => new ConfigurationError('wrong'), 60_000],
  ['an unexpected error', () => new TypeError('bug'), 60_000],
  ['an unreachable server with no time to wait', away, 0],
])('%s ends the start at the first attempt', async (_, make, waitMs) => {
  let attempts = 0;
  const error = make();
  const attempt = () => {
    attempts++;
    return Promise.reject(error);
  };
  await expect(whenReachable(attempt, { waitMs, log })).rejects.toBe(error);
  expect(attempts).toBe(1);
});

it('a start ends with the last error when its time is over', async () => {
  await expect(whenReachable(() => Promise.reject(away()), { waitMs: 50, log })).rejects.toMatchObject({
    code: 'REDIS_UNAVAILABLE',
  });
});

it('a start logs once what it waits for', async () => {
  const lines: string[] = [];
  const counted = createLog('info', { write: line => lines.push(line) });
  let attempts = 0;
  const attempt = async () => {
    if (++attempts < 4) throw away();
  };
  await whenReachable(attempt, { waitMs: 60_000, log: counted, random: () => 0 });
  expect(lines.length).toBe(1);
});
