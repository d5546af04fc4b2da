// Runs Redis' own benchmark with one command against the rig's server, and reads its rate and cost.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { findBinary } from '../scripts/servers/binaries.ts';
import { redisCpuSeconds } from './redis-meter.ts';
import type { Rig } from './rig.ts';
import type { Load, Measurement } from './scenario.ts';

const run = promisify(execFile);
const clients = 4;
const pipeline = 100;
const fields = 100_000;
const hash = 'limit';

/** Reads commands per second from its CSV: a head line, then name and rate in quotes. */
export function rateOf(csv: string): number {
  const line = csv.trim().split('\n').at(-1) ?? '';
  const rate = Number(/^".*?","([\d.]+)"/.exec(line)?.[1]);
  if (!(rate > 0)) throw new Error(`redis-benchmark did not print a rate: ${csv.slice(0, 500)}`);
  return rate;
}

async function benchmark(port: number, commands: number, command: readonly string[]): Promise<number> {
  const options = ['-p', port, '-n', commands, '-c', clients, '-P', pipeline, '-r', fields, '--csv'];
  const file = findBinary('redis8', ['redis-benchmark']);
  const { stdout } = await run(file, [...options.map(String), ...command]);
  return rateOf(stdout);
}

/** @param make returns a command that adds 1 to a field of the hash */
export function measureCommand(
  rig: Rig,
  load: Load,
  make: (hash: string, field: string, redis: Redis) => Promise<string[]>,
): Promise<Measurement> {
  return rig.withRedis(async ({ url, port }) => {
    const redis = new Redis(url);
    try {
      const command = await make(hash, 'key:__rand_int__', redis);
      // redis-benchmark counts commands, not seconds, in whole pipelines.
      const whole = (commands: number) =>
        Math.max(1, Math.ceil(Math.min(commands, load.updates) / pipeline)) * pipeline;
      const first = whole(100_000 * load.warmUpSeconds);
      const expected = await benchmark(port, first, command);
      const commands = whole(expected * load.seconds);
      const before = await redisCpuSeconds(redis);
      const value = await benchmark(port, commands, command);
      const cpu = (await redisCpuSeconds(redis)) - before;
      const counted = (await redis.hvals(hash)).reduce((sum, text) => sum + Number(text), 0);
      return {
        value,
        difference: Math.abs(counted - first - commands),
        details: { updates: commands, redisCpuMicrosPerUpdate: (cpu / commands) * 1e6 },
      };
    } finally {
      redis.disconnect();
    }
  });
}
