/** Takes one sample a second for all pages together, and keeps those of the last hour. */
import type { Logger } from 'pino';
import { pause } from '../shared/clock.ts';
import type { OpenServers } from '../shared/open-servers.ts';
import { type KnownProcess, SILENT_SECONDS } from '../shared/redis/heartbeat.ts';
import type { PartitionStatus } from '../shared/redis/inspect.ts';
import type { AtRisk, History, Sample } from './answers.ts';
import { countUpTo } from './counts.ts';
import { FigureSource, type Figures, MOST_COUNTED, type Stored } from './figures.ts';
import { SampleHistory } from './history.ts';
import type { ConsoleServers } from './servers.ts';
import { judge } from './verdict.ts';

const EVERY_MS = 1000;
const FIRST_MS = 50;
const STUCK_SECONDS = 60;

/** How many updates the partitions had accepted and flushed in total at a time. */
interface Totals {
  readonly at: number;
  readonly accepted: number;
  readonly flushed: number;
}

const NOTHING: Figures = {
  partitions: undefined,
  jobs: undefined,
  processes: undefined,
  memory: undefined,
  points: undefined,
  stored: undefined,
  halted: [],
};

export class Sampler {
  readonly #servers: Pick<ConsoleServers, 'current' | 'trouble'>;
  readonly #log: Logger;
  readonly #history = new SampleHistory();
  readonly #listeners = new Set<(sample: Sample) => void>();
  readonly #stop = new AbortController();
  /** By partition: its last sequence number, and since when, ms. */
  readonly #sequences = new Map<number, { sequence: number; since: number }>();
  #source: { readonly servers: OpenServers; readonly figures: FigureSource } | undefined;
  #totals: Totals | undefined;
  #latest: Sample | undefined;
  #rounds: Promise<void> | undefined;

  constructor(servers: Pick<ConsoleServers, 'current' | 'trouble'>, log: Logger) {
    this.#servers = servers;
    this.#log = log;
  }

  /** Undefined until the first one is taken. */
  get latest(): Sample | undefined {
    return this.#latest;
  }

  history(minutes: number): History {
    return this.#history.columns(minutes);
  }

  /** @returns a function that ends it */
  subscribe(listener: (sample: Sample) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    this.#rounds = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#rounds;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const began = performance.now();
      try {
        // At first nothing is known, which is no reason to raise an alarm.
        if (!this.#servers.current && !this.#servers.trouble) {
          await pause(FIRST_MS, this.#stop.signal);
          continue;
        }
        const sample = this.#sampleOf(await this.#figures(), performance.now());
        this.#latest = sample;
        this.#history.add(sample);
        for (const listener of this.#listeners) listener(sample);
      } catch (error) {
        this.#log.error({ err: error }, 'the console could not take a sample');
      }
      await pause(Math.max(0, began + EVERY_MS - performance.now()), this.#stop.signal);
    }
  }

  async #figures(): Promise<Figures> {
    const servers = this.#servers.current;
    if (!servers) return NOTHING;
    if (this.#source?.servers !== servers) this.#source = { servers, figures: new FigureSource(servers) };
    return this.#source.figures.ask();
  }

  #sampleOf(figures: Figures, now: number): Sample {
    const { partitions, jobs, memory, points, stored, halted } = figures;
    const workers = figures.processes?.filter(isLiveWorker);
    const breakersOpen = workers?.filter(({ breaker }) => breaker === 'open').length;
    const stuck = this.#stuckAmong(partitions ?? [], now).filter(one => !halted.includes(one));
    const workersAlive = workers?.length;
    const { trouble } = this.#servers;
    const verdict = judge({ ...figures, stuck, breakersOpen, workersAlive, staleSeconds: 0, trouble });
    const lags = partitions?.map(({ lagSeconds }) => lagSeconds) ?? [];
    return {
      at: new Date().toISOString(),
      verdict,
      redis: partitions ? 'connected' : 'unavailable',
      database: !stored ? 'unavailable' : stored.condition === 'yes' ? 'connected' : 'read-only',
      ...this.#ratesOf(partitions, now),
      lagSeconds: partitions ? Math.max(0, ...lags) : null,
      lagP99Seconds: partitions ? percentile(lags, 0.99) : null,
      lags,
      backlog: partitions ? sumOf(partitions, backlogOf) : null,
      atRisk: atRiskOf(points),
      quarantine: stored ? quarantineOf(stored) : null,
      declared: stored ? { lost: stored.lost, doubled: stored.doubled } : null,
      halted,
      breakersOpen: breakersOpen ?? null,
      workersAlive: workersAlive ?? null,
      memory: memory ?? null,
      jobs: jobs ? jobsOf(jobs) : null,
    };
  }

  #ratesOf(partitions: readonly PartitionStatus[] | undefined, now: number) {
    const before = this.#totals;
    this.#totals = partitions && {
      at: now,
      accepted: sumOf(partitions, ({ updates }) => updates),
      flushed: sumOf(partitions, status => status.updates - backlogOf(status)),
    };
    const after = this.#totals;
    if (!before || !after) return { acceptedPerSecond: null, flushedPerSecond: null };
    const seconds = (after.at - before.at) / 1000;
    // A Redis that lost data has counted fewer.
    const rate = (from: number, to: number) => Math.max(0, to - from) / seconds;
    return {
      acceptedPerSecond: rate(before.accepted, after.accepted),
      flushedPerSecond: rate(before.flushed, after.flushed),
    };
  }

  #stuckAmong(partitions: readonly PartitionStatus[], now: number): number[] {
    return partitions
      .filter(({ partition, sequence, lagSeconds }) => {
        const known = this.#sequences.get(partition);
        if (known?.sequence !== sequence) this.#sequences.set(partition, { sequence, since: now });
        const since = this.#sequences.get(partition)!.since;
        return lagSeconds > STUCK_SECONDS && now - since > STUCK_SECONDS * 1000;
      })
      .map(({ partition }) => partition);
  }
}

function isLiveWorker({ role, silentSeconds }: KnownProcess): boolean {
  return role === 'worker' && silentSeconds < SILENT_SECONDS;
}

function backlogOf({ pendingUpdates, inFlight }: PartitionStatus): number {
  return pendingUpdates + inFlight;
}

function sumOf(partitions: readonly PartitionStatus[], of: (status: PartitionStatus) => number): number {
  return partitions.reduce((sum, status) => sum + of(status), 0);
}

/** The smallest value that is not exceeded by the share of all. */
function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

function atRiskOf(points: Figures['points']): AtRisk[] {
  return [...(points ?? [])]
    .filter(([, amount]) => amount > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([program, amount]) => ({ program, points: String(Math.round(amount)) }));
}

function quarantineOf({ refused, held, oldestSeconds }: Stored): Sample['quarantine'] {
  return {
    refused: countUpTo(MOST_COUNTED, refused),
    held: countUpTo(MOST_COUNTED, held),
    oldestSeconds,
  };
}

function jobsOf({ waiting = 0, active = 0, delayed = 0, failed = 0 }: Readonly<Record<string, number>>) {
  return { waiting, active, delayed, failed };
}
