/**
 * Both Redis servers as numbers, and what was slow in them.
 *
 * The pattern: one process asks every few seconds, and metrics say what it saw last. INFO answers in texts: compared as
 * texts, 9 MB of `used_memory` are more than 80. The process that runs jobs asks, since all API processes would see the
 * same.
 *
 * It logs no arguments of slow commands: they hold keys and values of people.
 */
import type { FastifyBaseLogger } from 'fastify';
import type { Redis } from 'ioredis';
import { Gauge } from 'prom-client';
import type { Shop } from '../shop.ts';

const EVERY_MS = 5000;
/** Newest entries of SLOWLOG that are looked at. */
const NEWEST = 32;

/** Fields of INFO: the metric of each, and what it says. The server counts since its start. */
const FIELDS = {
  used_memory: ['used_memory_bytes', 'Memory in use.'],
  maxmemory: ['max_memory_bytes', 'Limit of the memory; 0 for none.'],
  keyspace_hits: ['hits', 'Reads of keys that were there, since the server started.'],
  keyspace_misses: ['misses', 'Reads of keys that were not there, since the server started.'],
  evicted_keys: ['evicted_keys', 'Keys that were evicted for room, since the server started.'],
} as const;

type SlowCommand = [id: number, at: number, microseconds: number, command: string[]];

function gauges({ registry }: Shop) {
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `shop_redis_${name}`, help, labelNames: ['server'], registers: [registry] });
  return {
    up: gauge('up', 'Whether the server answered last time.'),
    slowlog: gauge('slowlog_length', 'Slow commands in SLOWLOG, which keeps 128 by default.'),
    fields: Object.entries(FIELDS).map(([field, [name, help]]) => [field, gauge(name, help)] as const),
  };
}

/** INFO as numbers; a field that is none is NaN. */
function numbersOf(info: string): Map<string, number> {
  const fields = info.split(/\r?\n/).map(line => line.split(':'));
  return new Map(fields.map(([name, text]) => [name!, Number(text)]));
}

/** Logs slow commands that are younger than `last`. @returns the id of the youngest */
function logSlow(
  server: string,
  commands: readonly SlowCommand[],
  last: number,
  log: FastifyBaseLogger,
): number {
  const youngest = commands[0]?.[0] ?? -1;
  // A server that was restarted, or whose log was reset with it, counts anew.
  const known = youngest < last ? -1 : last;
  for (const [id, at, microseconds, [name, ...args]] of commands)
    if (id > known)
      log.warn(
        { server, command: name, arguments: args.length, ms: microseconds / 1000, at: new Date(at * 1000) },
        'slow command',
      );
  return youngest;
}

/** Looks at both servers until it is ended. */
export function watchRedis(shop: Shop, log: FastifyBaseLogger): { close(): void } {
  const { up, slowlog, fields } = gauges(shop);
  const servers: Record<string, Redis> = { sluice: shop.redis, cache: shop.cacheRedis };
  const lastSlow = new Map<string, number>();
  const look = async (server: string, redis: Redis) => {
    const [info, length, newest] = await Promise.all([
      redis.info(),
      // Its user may lack the right to this one.
      redis.slowlog('LEN').catch(() => 0),
      redis.slowlog('GET', NEWEST).catch(() => []),
    ]);
    const numbers = numbersOf(info);
    for (const [field, gauge] of fields) gauge.set({ server }, numbers.get(field) ?? 0);
    slowlog.set({ server }, length as number);
    const last = lastSlow.get(server) ?? -1;
    lastSlow.set(server, logSlow(server, newest as SlowCommand[], last, log));
  };
  const lookAtAll = () => {
    for (const [server, redis] of Object.entries(servers))
      void look(server, redis).then(
        () => up.set({ server }, 1),
        () => up.set({ server }, 0),
      );
  };
  lookAtAll();
  const timer = setInterval(lookAtAll, EVERY_MS);
  return { close: () => clearInterval(timer) };
}
