/**
 * Finds partitions that are halted. Workers record nothing of a halt, so both sides are compared: roughly at each
 * sample, and fully, as `sluice recover` does, where the two have differed for a while.
 */
import { Sides, type Verdict } from '../recovery/evidence.ts';
import { within } from '../shared/clock.ts';
import { type Database, queryRows } from '../shared/mysql/database.ts';
import type { OpenServers } from '../shared/open-servers.ts';
import { readWatermark } from '../shared/partition/watermark.ts';
import type { PartitionStatus } from '../shared/redis/inspect.ts';

export const HALTS: readonly Verdict[] = ['REDIS_BACKUP_RESTORED', 'DATABASE_WENT_BACK'];
/** Samples for which both sides must differ before they are compared fully: flushes make them differ for moments. */
const DIFFERENT_FOR = 3;
/** Partitions compared fully at each sample; the others keep their verdict. */
const AT_ONCE = 8;
const ALL = 'SELECT partition_id, sequence, token, epoch FROM sluice_partitions';

export class Halts {
  readonly #servers: OpenServers;
  readonly #sides: Sides;
  /** By partition: for how many samples both sides have differed. */
  readonly #different = new Map<number, number>();
  #halted = new Set<number>();

  constructor(servers: OpenServers) {
    this.#servers = servers;
    this.#sides = new Sides(servers.redis, servers.keys);
  }

  /** The halted partitions, in order. Keeps what it knows if MySQL does not answer in time. */
  async among(partitions: readonly PartitionStatus[], ms: number): Promise<readonly number[]> {
    await within(this.#look(partitions), ms);
    return [...this.#halted].sort((a, b) => a - b);
  }

  async #look(partitions: readonly PartitionStatus[]): Promise<void> {
    const marks = await readMarks(this.#servers.database);
    const halted = new Set<number>();
    const suspects: number[] = [];
    for (const status of partitions) {
      const mark = marks.get(status.partition);
      const differs = mark !== undefined && status.epoch !== '' && isUnusual(status, mark);
      const samples = differs ? (this.#different.get(status.partition) ?? 0) + 1 : 0;
      this.#different.set(status.partition, samples);
      if (samples >= DIFFERENT_FOR) suspects.push(status.partition);
    }
    // Those that are known come last, so that all are looked at in time.
    suspects.sort((a, b) => Number(this.#halted.has(a)) - Number(this.#halted.has(b)));
    for (const [at, partition] of suspects.entries()) {
      const isHalted = at < AT_ONCE ? await this.#isHalted(partition) : this.#halted.has(partition);
      if (isHalted) halted.add(partition);
    }
    this.#halted = halted;
  }

  /** Only if the watermark has not moved meanwhile: nothing is locked. */
  async #isHalted(partition: number): Promise<boolean> {
    return this.#servers.database.session(async connection => {
      const before = await readWatermark(connection, partition);
      const { verdict } = await this.#sides.look(connection, partition, before);
      const after = await readWatermark(connection, partition);
      return before.sequence === after.sequence && HALTS.includes(verdict);
    });
  }
}

type Mark = Pick<PartitionStatus, 'sequence' | 'token' | 'epoch'>;

/** Whether it is neither at rest nor in the middle of the flush of one batch. */
function isUnusual({ sequence, token, epoch }: Mark, mark: Mark): boolean {
  if (epoch !== mark.epoch) return true;
  return token === '' ? sequence !== mark.sequence : sequence !== mark.sequence + 1 && token !== mark.token;
}

async function readMarks(database: Database): Promise<Map<number, Mark>> {
  const rows = await database.session(connection => queryRows(connection, ALL));
  return new Map(
    rows.map(row => [
      Number(row.partition_id),
      { sequence: Number(row.sequence), token: String(row.token), epoch: String(row.epoch) },
    ]),
  );
}
