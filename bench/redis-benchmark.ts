// Runs Redis' own benchmark against the rig's server, for one command, and reads what it cost.

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

/** Commands a second, as its CSV has them: a head line, then the name in quotes and the rate in quotes. */
export function rateOf(csv: string): number {
  const line = csv.trim().split('\n').at(-1) ?? '';
  const rate = Number(/^".*?","([\d.]+)"/.exec(line)?.[1]);
  if (!(rate > 0)) throw new Error(`redis-benchmark said something else than a rate: ${csv.slice(0, 500)}`);
  return rate;
}

async function benchmark(port: number, commands: number, command: readonly string[]): Promise<number> {
  const options = ['-p', port, '-n', commands, '-c', clients, '-P', pipeline, '-r', fields, '--csv'];
  const file = findBinary('redis8', ['redis-benchmark']);
  const { stdout } = await run(file, [...options.map(String), ...command]);
  return rateOf(stdout);
}

/** @param make a command that adds 1 to the field of the hash */
export function measureCommand(
  rig: Rig,
  load: Load,
  make: (hash: string, field: string, redis: Redis) => Promise<string[]>,
): Promise<Measurement> {
  return rig.withRedis(async ({ url, port }) => {
    const redis = new Redis(url);
    try {
      const command = await make(hash, 'key:__rand_int__', redis);
      // It counts commands, not seconds; and whole pipelines.
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
