// Sums up the CPU profiles and Redis' statistics of a run with --profile: the top ten of each process.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The part of V8's .cpuprofile that counts self times. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  /** For each sample: the node that ran, and microseconds since the previous sample. */
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

export interface Share {
  readonly name: string;
  /** Share of the busy time. */
  readonly share: number;
}

const TOP = 10;
/** Not the process's work: loading the program, waiting, and what V8 cannot name. */
const LEFT_OUT = /^\((idle|program|root)\)$/;

function topOf(times: ReadonlyMap<string, number>): Share[] {
  const total = [...times.values()].reduce((sum, time) => sum + time, 0);
  return [...times]
    .map(([name, time]) => ({ name, share: time / total }))
    .toSorted((a, b) => b.share - a.share)
    .slice(0, TOP);
}

/** Sorted by the self time of each function. */
export function topFrames({ nodes, samples, timeDeltas }: CpuProfile): Share[] {
  const names = new Map(
    nodes.map(({ id, callFrame: { functionName, url } }) => {
      const path = url.replace(/^.*\/(?=(src|dist|scripts|bench|node_modules)\/)/, '');
      return [id, `${functionName || '(anonymous)'}${path === '' ? '' : ` ${path}`}`];
    }),
  );
  const times = new Map<string, number>();
  for (const [at, id] of samples.entries()) {
    const name = names.get(id)!;
    if (!LEFT_OUT.test(name)) times.set(name, (times.get(name) ?? 0) + timeDeltas[at]!);
  }
  return topOf(times);
}

/** Sorted by the time of each command, without that of scripts. @param info reply of INFO commandstats */
export function topCommands(info: string): Share[] {
  const times = new Map<string, number>();
  for (const [, name, usec] of info.matchAll(/^cmdstat_([^:]+):calls=\d+,usec=(\d+)/gm))
    if (name !== 'evalsha' && name !== 'eval') times.set(name!, Number(usec));
  return topOf(times);
}

/** One section per file in the folder. */
export function profilePage(folder: string): string {
  const sections = readdirSync(folder)
    .toSorted()
    .flatMap(file => {
      const text = readFileSync(join(folder, file), 'utf8');
      if (file.endsWith('.cpuprofile')) return section(file, topFrames(JSON.parse(text)));
      return file.endsWith('.commandstats') ? section(file, topCommands(text)) : [];
    });
  return ['# Where the time goes', '', ...sections].join('\n');
}

function section(file: string, top: readonly Share[]): string[] {
  const rows = top.map(({ name, share }) => `| ${(share * 100).toFixed(1)} % | \`${name}\` |`);
  return [`## ${file.replace(/\.\w+$/, '')}`, '', '| self | |', '| --: | --- |', ...rows, ''];
}
