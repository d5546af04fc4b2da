// What Redis says of itself over one measurement: CPU, scripts that took long, and what else held it up.

import { Redis } from 'ioredis';

/** A script that takes longer holds up everybody else. */
const slowScriptMs = 2;
const slowlogLength = 10_000;

export async function redisCpuSeconds(redis: Redis): Promise<number> {
  const info = await redis.info('cpu');
  const field = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1]);
  return field('used_cpu_user') + field('used_cpu_sys');
}

type SlowlogEntry = [id: number, time: number, microseconds: number, command: string[]];
type LatencyEvent = [event: string, time: number, latestMs: number, maxMs: number];

export class RedisMeter {
  readonly #redis: Redis;
  #cpuBefore = 0;

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

  /** What happened before counts no longer. */
  async start(): Promise<void> {
    await this.#redis.slowlog('RESET');
    await this.#redis.latency('RESET');
    this.#cpuBefore = await redisCpuSeconds(this.#redis);
  }

  async cpuSeconds(): Promise<number> {
    return (await redisCpuSeconds(this.#redis)) - this.#cpuBefore;
  }

  /** Scripts of more than 2 ms, the longest of them, and the longest of each kind of delay that LATENCY knows. */
  async delays(): Promise<Record<string, number>> {
    const entries = (await this.#redis.slowlog('GET', slowlogLength)) as SlowlogEntry[];
    const scripts = entries.filter(([, , , [command]]) => /^(EVAL|FCALL)/i.test(command ?? ''));
    const events = (await this.#redis.latency('LATEST')) as LatencyEvent[];
    return {
      slowScripts: scripts.length,
      slowestScriptMs: Math.max(0, ...scripts.map(([, , microseconds]) => microseconds / 1000)),
      ...Object.fromEntries(events.map(([event, , , maxMs]) => [`redisLatencyMs ${event}`, maxMs])),
    };
  }

  async usedMemoryMb(): Promise<number> {
    const info = await this.#redis.info('memory');
    return Number(/^used_memory:(\d+)/m.exec(info)?.[1]) / 1e6;
  }

  close(): void {
    this.#redis.disconnect();
  }
}
