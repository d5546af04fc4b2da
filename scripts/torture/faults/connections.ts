/** Connections cut around COMMIT and EVALSHA, delayed, or silent for a while, at the proxies. */
import { setTimeout as delay } from 'node:timers/promises';
import type { TcpProxy } from '../proxy.ts';
import type { Proxies, Stack } from '../stack.ts';
import { between, type Fault, now, oneOf, type Scene } from './fault.ts';

const cutLimit = 10_000;

type Side = keyof Proxies;
const sides: readonly Side[] = ['workers', 'producers'];

interface CutPlan {
  kind: string;
  request: string;
  when: 'before' | 'after';
  proxies(stack: Stack): Proxies;
  sides: readonly Side[];
}

function cut({ kind, request, when, proxies, sides }: CutPlan): Omit<Fault, 'topologies'> {
  return {
    kind,
    async run({ stack, random }: Scene) {
      const side = oneOf(random, sides);
      const cuts = between(random, 1, 3);
      let happened = 0;
      let since = now();
      for (let at = 0; at < cuts; at++) {
        if (await proxies(stack)[side].cutNext(request, when, between(random, 0, 8), cutLimit)) happened++;
        since = now();
      }
      if (happened === 0)
        throw new Error(`no connection of the ${side} sent ${request} within ${cutLimit} ms`);
      const place = when === 'before' ? 'before it reached the server' : 'before its answer came';
      return { what: `${happened} x ${request} of ${side}, cut ${place}`, since };
    },
  };
}

/** Also what a producer commits: it aligns partitions, but seldom. */
const commits = {
  request: 'COMMIT',
  proxies: (stack: Stack) => stack.mysqlProxies,
  sides: ['workers'] as const,
};
const scripts = { request: 'evalsha', proxies: (stack: Stack) => stack.redisProxies!, sides };
const proxied = { topologies: ['standalone'] as const };

export const cutBeforeCommit: Fault = cut({ kind: 'cutBeforeCommit', when: 'before', ...commits });
export const cutAfterCommit: Fault = cut({ kind: 'cutAfterCommit', when: 'after', ...commits });
export const cutBeforeEvalsha: Fault = {
  ...cut({ kind: 'cutBeforeEvalsha', when: 'before', ...scripts }),
  ...proxied,
};
export const cutAfterEvalsha: Fault = {
  ...cut({ kind: 'cutAfterEvalsha', when: 'after', ...scripts }),
  ...proxied,
};

/** Slow for a while, or silent for a while: then what was held back arrives late. */
async function slowDown(proxy: TcpProxy, { random }: Scene): Promise<string> {
  const ms = between(random, 500, 2500);
  if (random() < 0.5) {
    proxy.hold(ms);
    await delay(ms);
    return `held back for ${ms} ms`;
  }
  const delayMs = between(random, 20, 300);
  proxy.delayMs = delayMs;
  await delay(ms);
  proxy.delayMs = 0;
  return `delayed by ${delayMs} ms for ${ms} ms`;
}

function slow(kind: string, proxies: (stack: Stack) => Proxies): Fault {
  return {
    kind,
    async run(scene) {
      const side = oneOf(scene.random, sides);
      const what = await slowDown(proxies(scene.stack)[side], scene);
      return { what: `connections of ${side} ${what}`, since: now() };
    },
  };
}

export const databaseDelay = slow('databaseDelay', stack => stack.mysqlProxies);
export const redisDelay: Fault = { ...slow('redisDelay', stack => stack.redisProxies!), ...proxied };
