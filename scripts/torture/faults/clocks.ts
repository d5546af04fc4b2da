/** Wall clocks that are wrong from the start of a process, become wrong while it runs, or step. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Slot } from '../processes.ts';
import { between, type Fault, now, oneOf, type Scene } from './fault.ts';

const minute = 60_000;
const hour = 60 * minute;
const shifts = [2 * minute, hour, 24 * hour];

/** A worker, a producer or the API, or one of each gets a wrong clock. */
function victimsOf({ processes, random }: Scene): Slot[] {
  const [worker, producer] = [oneOf(random, processes.workers), oneOf(random, processes.senders)];
  return oneOf(random, [[worker], [producer], [worker, producer]]);
}

const namesOf = (slots: readonly Slot[]) => slots.map(({ name }) => name).join(' and ');

/** Flushing must go on while clocks are wrong. */
function wrong(kind: string, sign: 1 | -1): Fault {
  return {
    kind,
    weight: 1,
    async run(scene) {
      const { random, processes } = scene;
      const victims = victimsOf(scene);
      const shift = oneOf(random, shifts);
      const fromTheStart = random() < 0.3;
      if (fromTheStart) await Promise.all(victims.map(slot => slot.kill()));
      await Promise.all(victims.map(slot => slot.setClock(sign * shift)));
      await processes.ensure();
      const since = now();
      const ms = between(random, 500, 2500);
      const meanwhile = delay(ms).then(async () => {
        await Promise.all(victims.map(slot => slot.setClock(0)));
      });
      const how = `${shift / minute} min ${sign > 0 ? 'ahead' : 'behind'}${fromTheStart ? ' from its start' : ''}`;
      return { what: `clock of ${namesOf(victims)} ${how}, right after ${ms} ms`, since, meanwhile };
    },
  };
}

export const clockAhead = wrong('clockAhead', 1);
export const clockBehind = wrong('clockBehind', -1);

/** Steps all clocks at once and each by itself, several times; they are right at the end. */
export const clockStep: Fault = {
  kind: 'clockStep',
  weight: 1,
  async run(scene) {
    const { random, processes } = scene;
    const steps = between(random, 2, 5);
    for (let step = 0; step < steps; step++) {
      const signed = () => oneOf(random, shifts) * oneOf(random, [1, -1]);
      await Promise.all(processes.all.map(slot => slot.setClock(signed())));
      await delay(between(random, 50, 600));
    }
    const since = now();
    await Promise.all(processes.all.map(slot => slot.setClock(0)));
    return { what: `clocks of all processes stepped ${steps} times ahead or back, then right`, since };
  },
};
