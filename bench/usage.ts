// CPU and memory of processes from Linux' /proc. Peaks are the kernel's, so none between samples is missed.

import { readFileSync } from 'node:fs';

/** Units of user and kernel time: USER_HZ is 100 on every Linux that Node supports. */
const ticksPerSecond = 100;

/** CPU seconds of all threads of the process. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name in brackets, which may contain spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

export interface Resident {
  now: number;
  peak: number;
}

/** Current and peak memory of the process, MB (1,000,000 bytes). */
export function residentMb(pid: number): Resident {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string) =>
    (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024) / 1e6;
  return { now: field('VmRSS'), peak: field('VmHWM') };
}

/** CPU of each process from now on. */
export class CpuMeter {
  readonly #pids: Record<string, readonly number[]>;
  readonly #before: Record<string, number>;
  readonly #started = performance.now();

  constructor(pids: Record<string, readonly number[]>) {
    this.#pids = pids;
    this.#before = this.#sums();
  }

  #sums(): Record<string, number> {
    return Object.fromEntries(
      Object.entries(this.#pids).map(([name, pids]) => [
        name,
        pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0),
      ]),
    );
  }

  /**
   * By name, such as `workerCores` (1 is one busy core) and `workerCpuMicrosPerUpdate`, which is left out if
   * there was no update.
   */
  taken(updates: number): Record<string, number> {
    const seconds = (performance.now() - this.#started) / 1000;
    const taken = Object.entries(this.#sums()).map(
      ([name, sum]) => [name, sum - this.#before[name]!] as const,
    );
    return {
      ...Object.fromEntries(taken.map(([name, cpu]) => [`${name}Cores`, cpu / seconds])),
      ...(updates > 0
        ? Object.fromEntries(taken.map(([name, cpu]) => [`${name}CpuMicrosPerUpdate`, (cpu / updates) * 1e6]))
        : {}),
    };
  }
}
