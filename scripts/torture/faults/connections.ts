/** Connections that the proxies cut around COMMIT and EVALSHA, delay, or keep silent for a while. */
import { setTimeout as delay } from 'node:timers/promises';
import { HUNG_MS } from '../hung.ts';
import type { Line } from '../proxy.ts';
import type { Lines, Stack } from '../stack.ts';
import { between, type Fault, now, oneOf, type Scene } from './fault.ts';

type Side = keyof Lines;
const sides: readonly Side[] = ['workers', 'producers'];

interface CutPlan {
  kind: string;
  request: string;
  when: 'before' | 'after';
  lines(stack: Stack): Lines;
  sides: readonly Side[];
}

function cut({ kind, request, when, lines, sides }: CutPlan): Fault {
  return {
    kind,
    async run({ stack, random }: Scene) {
      const side = oneOf(random, sides);
      const cuts = between(random, 1, 3);
      let happened = 0;
      let since = now();
      for (let at = 0; at < cuts; at++) {
        if (await lines(stack)[side].cutNext(request, when, between(random, 0, 8), HUNG_MS)) happened++;
        since = now();
      }
      if (happened === 0)
        throw new Error(`no connection of the ${side} sent ${request} within ${HUNG_MS} ms`);
      const moment = when === 'before' ? 'before it reached the server' : 'before its answer came';
      return { what: `${happened} x ${request} of ${side}, cut ${moment}`, since };
    },
  };
}

/** Only of workers: producers also commit, when they align a partition, but rarely. */
const commits = {
  request: 'COMMIT',
  lines: (stack: Stack) => stack.mysqlLines,
  sides: ['workers'] as const,
};
const scripts = { request: 'evalsha', lines: (stack: Stack) => stack.redis.proxies, sides };

export const cutBeforeCommit = cut({ kind: 'cutBeforeCommit', when: 'before', ...commits });
export const cutAfterCommit = cut({ kind: 'cutAfterCommit', when: 'after', ...commits });
export const cutBeforeEvalsha = cut({ kind: 'cutBeforeEvalsha', when: 'before', ...scripts });
export const cutAfterEvalsha = cut({ kind: 'cutAfterEvalsha', when: 'after', ...scripts });

/** Slow or silent for a while; held-back data then arrives late. */
async function slowDown(line: Line, { random }: Scene): Promise<string> {
  const ms = between(random, 500, 2500);
  if (random() < 0.5) {
    line.hold(ms);
    await delay(ms);
    return `held back for ${ms} ms`;
  }
  const delayMs = between(random, 20, 300);
  line.delayMs = delayMs;
  await delay(ms);
  line.delayMs = 0;
  return `delayed by ${delayMs} ms for ${ms} ms`;
}

function slow(kind: string, lines: (stack: Stack) => Lines): Fault {
  return {
    kind,
    async run(scene) {
      const side = oneOf(scene.random, sides);
      const what = await slowDown(lines(scene.stack)[side], scene);
      return { what: `connections of ${side} ${what}`, since: now() };
    },
  };
}

export const databaseDelay = slow('databaseDelay', stack => stack.mysqlLines);
export const redisDelay = slow('redisDelay', stack => stack.redis.proxies);
