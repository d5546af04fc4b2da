/** A Redis that is killed, loses scripts or connections, or is full. Killed ones use appendfsync always. */
import { setTimeout as delay } from 'node:timers/promises';
import { redisCall } from '../../servers/redis-protocol.ts';
import { between, type Fault, now } from './fault.ts';

export const redisRestart: Fault = {
  kind: 'redisRestart',
  isOutage: true,
  topologies: ['standalone'],
  async run({ stack, random }) {
    const [server] = stack.redis.nodes;
    const ms = between(random, 0, 1500);
    server!.kill('SIGKILL');
    await delay(ms);
    await server!.restart();
    return { what: `SIGKILL of Redis, back after ${ms} ms`, since: now() };
  },
};

export const scriptFlush: Fault = {
  kind: 'scriptFlush',
  async run({ stack }) {
    const primaries = await stack.redis.primaries();
    const since = now();
    await Promise.all(primaries.map(node => redisCall(node, ['SCRIPT', 'FLUSH'])));
    return { what: 'SCRIPT FLUSH', since };
  },
};

export const redisCut: Fault = {
  kind: 'redisCut',
  isOutage: true,
  async run({ stack }) {
    const primaries = await stack.redis.primaries();
    const since = now();
    await Promise.all(
      primaries.map(node => redisCall(node, ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'])),
    );
    return { what: 'CLIENT KILL of every connection', since };
  },
};

export const redisFull: Fault = {
  kind: 'redisFull',
  isOutage: true,
  weight: 1,
  async run({ stack, random }) {
    const ms = between(random, 1000, 3000);
    const limit = (bytes: string) =>
      Promise.all(stack.redis.nodes.map(node => redisCall(node, ['CONFIG', 'SET', 'maxmemory', bytes])));
    await limit('100kb');
    await delay(ms);
    await limit('0');
    return { what: `maxmemory of 100 kB for ${ms} ms`, since: now() };
  },
};
