// Callers that push updates into a queue for a while, and wait while it holds too many. Otherwise the
// producer would take the CPU from the worker, and this would measure how fast a queue grows.

import { setTimeout as delay } from 'node:timers/promises';
import type { Updates } from './updates.ts';

const depthLimit = 2000;
const lookEvery = 10;

export interface Pushing {
  updates: Updates;
  seconds: number;
  /** Maximum number of updates. */
  limit: number;
  /** Calls in flight at a time, and updates in each. */
  callers: number;
  callSize: number;
  send(ranks: readonly number[]): Promise<unknown>;
  /** Number of updates in the queue. */
  depth(): Promise<number>;
}

/** Resolves with the number of updates sent. */
export async function push(pushing: Pushing): Promise<number> {
  const { updates, seconds, limit, callers, callSize, send, depth } = pushing;
  const until = performance.now() + seconds * 1000;
  let [sent, waiting, over] = [0, 0, false];
  const isOver = () => sent >= limit || performance.now() >= until;
  const look = async () => {
    while (!over) {
      waiting = await depth();
      await delay(lookEvery);
    }
  };
  const call = async () => {
    while (!isOver()) {
      if (waiting > depthLimit) {
        await delay(lookEvery);
        continue;
      }
      const ranks = Array.from({ length: Math.min(callSize, limit - sent) }, () => updates.next());
      sent += ranks.length;
      waiting += ranks.length;
      await send(ranks);
      for (const rank of ranks) updates.sums[rank]!++;
    }
  };
  const looking = look();
  await Promise.all(Array.from({ length: callers }, call));
  over = true;
  await looking;
  return sent;
}

/** Resolves when the queue is empty. */
export async function emptied(depth: () => Promise<number>): Promise<void> {
  while ((await depth()) > 0) await delay(lookEvery);
}
