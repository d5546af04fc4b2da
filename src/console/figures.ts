/**
 * Asks both servers for what a sample shows. What changes all the time is asked at each sample, the rest once in some
 * seconds. A server that does not answer in time gives undefined, and is asked no second time meanwhile.
 */
import { queryRow, readSql } from '../shared/mysql/database.ts';
import { type Condition, sessionCondition } from '../shared/mysql/writable.ts';
import type { OpenServers } from '../shared/open-servers.ts';
import { Question } from '../shared/question.ts';
import { infoField, infoOfPrimaries } from '../shared/redis/check.ts';
import { type KnownProcess, readProcesses } from '../shared/redis/heartbeat.ts';
import type { PartitionStatus } from '../shared/redis/inspect.ts';
import { valueAtRisk } from '../shared/redis/value-at-risk.ts';
import { Halts } from './halts.ts';

/** Longest count of rows. */
export const MOST_COUNTED = 10_000;
const ANSWER_MS = 1500;
const SLOW_MS = 5000;
/** Accounts of a partition that are summed; the rest is estimated. */
const MOST_ACCOUNTS = 100;
const SAMPLE = readSql(new URL('./sql/sample.sql', import.meta.url));

/** The fullest primary. */
export interface Memory {
  readonly used: number;
  /** Null if it has none. */
  readonly limit: number | null;
}

/** What MySQL counts; up to 10,001 of each. */
export interface Stored {
  readonly condition: Condition['writes'];
  readonly refused: number;
  readonly held: number;
  /** Age of the oldest refused update, seconds; null if there is none. */
  readonly oldestSeconds: number | null;
  /** Transfers whose credit MySQL refused. */
  readonly aside: number;
  /** For how long the time of an open hold has been over, seconds. */
  readonly overdueSeconds: number;
  readonly lost: number;
  readonly doubled: number;
  /** Losses that were found within the last hour. */
  readonly recentLosses: number;
}

/** Undefined where a server did not answer. */
export interface Figures {
  readonly partitions: readonly PartitionStatus[] | undefined;
  readonly jobs: Readonly<Record<string, number>> | undefined;
  readonly processes: readonly KnownProcess[] | undefined;
  readonly memory: Memory | undefined;
  readonly points: ReadonlyMap<string, number> | undefined;
  readonly stored: Stored | undefined;
  /** Partitions that are halted. */
  readonly halted: readonly number[];
}

export class FigureSource {
  readonly #partitions: Question<PartitionStatus[]>;
  readonly #jobs: Question<Record<string, number>>;
  readonly #processes: Question<KnownProcess[]>;
  readonly #memory: Question<Memory>;
  readonly #points: Question<Map<string, number>>;
  readonly #stored: Question<Stored>;
  readonly #halts: Halts;

  constructor(servers: OpenServers) {
    const { redis, keys, inspector, queue } = servers;
    this.#partitions = new Question(() => inspector.all());
    this.#jobs = new Question(() => queue.getJobCounts('waiting', 'active', 'delayed', 'failed'));
    this.#processes = new Question(() => readProcesses(redis, keys));
    this.#memory = new Question(() => readMemory(servers), SLOW_MS);
    this.#points = new Question(valueAtRisk(redis, keys, MOST_ACCOUNTS), SLOW_MS);
    this.#stored = new Question(() => readStored(servers), SLOW_MS);
    this.#halts = new Halts(servers);
  }

  /** Takes two seconds at most, and never rejects. */
  async ask(): Promise<Figures> {
    const [partitions, jobs, processes, memory, points, stored] = await Promise.all([
      this.#partitions.answer(ANSWER_MS),
      this.#jobs.answer(ANSWER_MS),
      this.#processes.answer(ANSWER_MS),
      this.#memory.answer(ANSWER_MS),
      this.#points.answer(ANSWER_MS),
      this.#stored.answer(ANSWER_MS),
    ]);
    const halted = partitions ? await this.#halts.among(partitions, ANSWER_MS) : [];
    return { partitions, jobs, processes, memory, points, stored, halted };
  }
}

async function readMemory({ redis }: OpenServers): Promise<Memory> {
  const found = (await infoOfPrimaries(redis, 'memory')).map(info => ({
    used: Number(infoField(info, 'used_memory')),
    limit: Number(infoField(info, 'maxmemory')) || null,
  }));
  const share = ({ used, limit }: Memory) => (limit ? used / limit : 0);
  return found.sort((a, b) => share(b) - share(a) || b.used - a.used)[0]!;
}

async function readStored({ database }: OpenServers): Promise<Stored> {
  return database.session(async connection => {
    const row = await queryRow(connection, SAMPLE);
    const { writes } = await sessionCondition(connection);
    const number = (column: string) => Number(row[column]);
    return {
      condition: writes,
      refused: number('refused'),
      held: number('held'),
      oldestSeconds: row.oldest === null ? null : Math.max(0, number('oldest') / 1e6),
      aside: number('aside'),
      overdueSeconds: number('overdue') / 1e6,
      lost: number('lost'),
      doubled: number('doubled'),
      recentLosses: number('recent'),
    };
  });
}
