/** A log that nobody reads for a while, in a process that writes much. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '../../servers.ts';
import { HUNG_MS } from '../hung.ts';
import type { Slot } from '../processes.ts';
import { between, type Fault, now, oneOf } from './fault.ts';

/** More lines than the pipe and the process can buffer. */
const lines = 3000;

/** Fills the log while nobody reads it; the returned function reads on and checks the reported drops. */
async function block({ inside, output, name }: Slot): Promise<() => Promise<void>> {
  const { size } = statSync(output.file);
  output.pause();
  const dropped = (await inside.ask({ ask: 'log', lines })) ?? 0;
  return async () => {
    output.resume();
    if (dropped === 0) throw new Error(`${name} dropped no line of a log that nobody read`);
    await waitFor(`${name} telling of ${dropped} lines that it dropped`, HUNG_MS, async () => {
      // Makes the log write a line, in case the process has none.
      await inside.ask({ ask: 'log', lines: 1 });
      return toldIn(output.file, size) >= dropped;
    });
  };
}

/** Number of dropped lines that the log reports after this position. */
function toldIn(file: string, from: number): number {
  const added = Buffer.alloc(statSync(file).size - from);
  const open = openSync(file, 'r');
  readSync(open, added, 0, added.length, from);
  closeSync(open);
  let sum = 0;
  for (const [, told] of added.toString().matchAll(/"lines":(\d+),"msg":"log lines were dropped/g))
    sum += Number(told);
  return sum;
}

export const logBlocked: Fault = {
  kind: 'logBlocked',
  weight: 1,
  async run({ processes, random }) {
    const victims = [oneOf(random, processes.workers), oneOf(random, processes.senders)];
    const ms = between(random, 1000, 3000);
    const since = now();
    const ends = await Promise.all(victims.map(block));
    const meanwhile = delay(ms).then(async () => {
      await Promise.all(ends.map(end => end()));
    });
    const names = victims.map(({ name }) => name).join(' and ');
    return { what: `nobody read what ${names} wrote for ${ms} ms`, since, meanwhile };
  },
};
