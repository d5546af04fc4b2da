/** Which processes of the deployment live, and what they run: each tells it every few seconds. */
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { pause, randomToken, within } from '../clock.ts';
import { openRedis, type RedisConnection } from './connections.ts';
import type { Keys } from './keys.ts';
import { readScript } from './read-script.ts';
import type { RedisLocation } from './url.ts';

export type ProcessRole = 'worker' | 'serve' | 'console';

/** What a process tells of itself when it starts. */
export interface ProcessFacts {
  readonly role: ProcessRole;
  readonly version: string;
  /** By the names of their variables, without secrets. */
  readonly settings: Readonly<Record<string, string>>;
  /** Digest of its definitions. */
  readonly definitions: string;
}

export interface KnownProcess extends ProcessFacts {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  /** ISO 8601, by the clock of its machine. */
  readonly startedAt: string;
  /** `open` while a worker pauses, since MySQL does not answer. Null for processes that are no workers. */
  readonly breaker: 'open' | 'closed' | null;
  /** Seconds since it was heard of, by the clock of Redis. */
  readonly silentSeconds: number;
}

const EVERY_MS = 2000;
/** A process that is silent for longer does not live, or cannot reach Redis. */
export const SILENT_SECONDS = 10;
const FORGET_MS = 60_000;
const LAST_MS = 500;
const SCRIPT = readScript(new URL('./heartbeat.lua', import.meta.url));

export class Heartbeat {
  readonly #redis: RedisConnection;
  readonly #keys: Keys;
  readonly #facts: object;
  readonly #breaker: () => 'open' | 'closed' | null;
  readonly #log: Logger;
  readonly #id = randomToken();
  readonly #stop = new AbortController();
  #rounds: Promise<void> | undefined;
  #end = () => {};

  /** @param breaker asked at each beat */
  constructor(
    { redis, keys, log }: { readonly redis: RedisConnection; readonly keys: Keys; readonly log: Logger },
    facts: ProcessFacts,
    breaker: () => 'open' | 'closed' | null = () => null,
  ) {
    this.#redis = redis;
    this.#keys = keys;
    this.#log = log;
    this.#breaker = breaker;
    this.#facts = { ...facts, host: hostname(), pid: process.pid, startedAt: new Date().toISOString() };
  }

  /** A heartbeat with a connection of its own, for a process whose other connections are hidden; it has started. */
  static open(at: RedisLocation, keys: Keys, log: Logger, facts: ProcessFacts): Heartbeat {
    const redis = openRedis(at, error => log.debug({ err: error }, 'Redis connection failed'));
    const heartbeat = new Heartbeat({ redis, keys, log }, facts);
    heartbeat.#end = () => redis.disconnect();
    heartbeat.start();
    return heartbeat;
  }

  start(): void {
    this.#rounds = this.#run();
  }

  /** Says that the process ends, if Redis answers soon. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await within(this.#rounds ?? Promise.resolve(), LAST_MS);
    await within(this.#tell(''), LAST_MS);
    this.#end();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#tell(JSON.stringify({ ...this.#facts, breaker: this.#breaker() }));
      } catch (error) {
        // An outage of Redis is logged by those who need it more.
        this.#log.debug({ err: error }, 'this process could not tell that it lives');
      }
      await pause(EVERY_MS, this.#stop.signal);
    }
  }

  async #tell(told: string): Promise<unknown> {
    return this.#redis.eval(SCRIPT, 1, this.#keys.processes, this.#id, told, FORGET_MS);
  }
}

/** The processes that were heard of within the last minute, the oldest first. */
export async function readProcesses(redis: RedisConnection, keys: Keys): Promise<KnownProcess[]> {
  const [known, [seconds, micros]] = await Promise.all([redis.hgetall(keys.processes), redis.time()]);
  const now = Number(seconds) * 1000 + Number(micros) / 1000;
  return Object.entries(known)
    .flatMap(([id, text]) => {
      const [, heard, told] = /^(\d+) (.*)$/s.exec(text) ?? [];
      if (told === undefined) return [];
      const silentSeconds = Math.max(0, now - Number(heard)) / 1000;
      return [{ ...(JSON.parse(told) as Omit<KnownProcess, 'id' | 'silentSeconds'>), id, silentSeconds }];
    })
    .sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
}
