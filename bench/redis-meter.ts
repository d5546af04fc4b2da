// What Redis reports during a measurement: slow scripts and other delays, and its CPU by itself.

import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { Redis } from 'ioredis';
import { readScript } from '../src/shared/redis/read-script.ts';

/** A slower script delays every other client noticeably. */
const slowScriptMs = 2;
const slowlogLength = 10_000;

export async function redisCpuSeconds(redis: Redis): Promise<number> {
  const info = await redis.info('cpu');
  const field = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1]);
  return field('used_cpu_user') + field('used_cpu_sys');
}

const sources = new URL('../src/', import.meta.url);
/** Names of this version's scripts by the SHA-1 with which they are called. */
const scriptNames = new Map(
  readdirSync(sources, { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.lua') && !file.includes('/lua/'))
    .map(file => {
      const text = readScript(new URL(file, sources));
      return [createHash('sha1').update(text).digest('hex'), basename(file, '.lua')];
    }),
);

interface SlowScript {
  /** `other` are those of BullMQ and of other versions. */
  readonly name: string;
  readonly ms: number;
}

type SlowlogEntry = [id: number, time: number, microseconds: number, command: string[]];
type LatencyEvent = [event: string, time: number, latestMs: number, maxMs: number];

export class RedisMeter {
  readonly #redis: Redis;
  /** Slow scripts that are no longer in the log. */
  #slow: SlowScript[] = [];

  private constructor(redis: Redis) {
    this.#redis = redis;
  }

  static async open(url: string): Promise<RedisMeter> {
    const redis = new Redis(url);
    await redis.config('SET', 'slowlog-log-slower-than', slowScriptMs * 1000);
    await redis.config('SET', 'slowlog-max-len', slowlogLength);
    await redis.config('SET', 'latency-monitor-threshold', slowScriptMs);
    return new RedisMeter(redis);
  }

  /** Discards everything before the measurement. */
  async start(): Promise<void> {
    await this.#redis.slowlog('RESET');
    await this.#redis.latency('RESET');
    this.#slow = [];
  }

  /** Number of scripts above 2 ms in total and by name, the longest of them, and the longest delay of each kind in LATENCY. */
  async delays(): Promise<Record<string, number>> {
    const scripts = [...this.#slow, ...(await this.#logged())];
    const events = (await this.#redis.latency('LATEST')) as LatencyEvent[];
    const byName = Map.groupBy(scripts, ({ name }) => name);
    return {
      slowScripts: scripts.length,
      slowestScriptMs: Math.max(0, ...scripts.map(({ ms }) => ms)),
      ...Object.fromEntries([...byName].map(([name, some]) => [`slowScripts ${name}`, some.length])),
      ...Object.fromEntries(events.map(([event, , , maxMs]) => [`redisLatencyMs ${event}`, maxMs])),
    };
  }

  async #logged(): Promise<SlowScript[]> {
    const entries = (await this.#redis.slowlog('GET', slowlogLength)) as SlowlogEntry[];
    const scripts = entries.filter(([, , , [command]]) => /^(EVAL|FCALL)/i.test(command ?? ''));
    return scripts.map(([, , microseconds, [, sha]]) => ({
      name: scriptNames.get(sha ?? '') ?? 'other',
      ms: microseconds / 1000,
    }));
  }

  /** Without SLOWLOG, whose entries take 1 KB each. */
  async usedMemoryMb(): Promise<number> {
    this.#slow.push(...(await this.#logged()));
    await this.#redis.slowlog('RESET');
    const info = await this.#redis.info('memory');
    return Number(/^used_memory:(\d+)/m.exec(info)?.[1]) / 1e6;
  }

  close(): void {
    this.#redis.disconnect();
  }
}
