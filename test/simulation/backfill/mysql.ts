/** MySQL as a backfill sees it: the table that it copies, its record, and what a flush writes. */
import type { Moment } from '../../../src/backfill/remembered.ts';
import type { Mark } from '../../../src/producer/waiting.ts';
import type { Kind } from '../../../src/shared/item.ts';
import { type Decision, decideStepwise } from '../../../src/shared/partition/decision.ts';
import { type Batch, joined, type Pending, type Update } from './redis.ts';

export interface Watermark {
  readonly sequence: number;
  readonly token: string;
  readonly epoch: string;
}

/** A row of the user's table. */
export interface Row {
  readonly value: number;
  /** What the row has in the column of `--mark`. */
  readonly home: 0 | 1 | 2;
}

export interface Opening {
  readonly key: string;
  readonly amount: number;
}

export interface Page {
  /** Key of its last row. */
  readonly until: string;
  readonly since: readonly Moment[];
  readonly openings: readonly Opening[];
}

/** The record of the run. */
export interface Run {
  /** All rows up to this key are in MySQL; '' once it is finished, then all rows are. */
  readonly place: string;
  readonly page: Page | undefined;
  readonly receipts: readonly Mark[] | undefined;
  readonly owner: string;
  readonly ownedUntil: number;
  readonly isFinished: boolean;
}

/** What the commit of a batch found, for its ack. */
export interface Outcome {
  readonly sequence: number;
  readonly quarantined: number;
}

export class Tables {
  watermarks: Watermark[] = [];
  journals: Map<string, Outcome>[] = [];
  values = new Map<string, Pending>();
  quarantine: readonly Pending[] = [];
  source = new Map<string, Row>();
  run: Run = {
    ...{ place: '', page: undefined, receipts: undefined },
    ...{ owner: '', ownedUntil: 0, isFinished: false },
  };

  /** What MySQL has of a key, with its quarantine. */
  updatesOf(key: string): readonly Update[] {
    const rows = [...this.quarantine, ...[...this.values.values()]].filter(row => row.key === key);
    return rows.flatMap(({ updates }) => updates);
  }

  write(kind: Kind, row: Pending): void {
    const before = this.values.get(row.key);
    this.values.set(row.key, before ? joined(kind, before, row) : row);
  }

  /** The table of decisions, with the answers that it asks for. */
  decide({ partition, ...batch }: Batch, inFlight: boolean): Decision {
    const journal = this.journals[partition]!;
    const steps = decideStepwise(batch, this.watermarks[partition]!);
    const facts = {
      recorded: () => journal.has(batch.token),
      inFlight: () => inFlight,
      oldestInJournal: () => Math.min(...[...journal.values()].map(({ sequence }) => sequence)),
    };
    let step = steps.next();
    while (!step.done) step = steps.next(facts[step.value]());
    return step.value;
  }

  /** Writes a batch and moves the watermark. */
  writeBatch(kind: Kind, refuses: boolean, { partition, sequence, token, epoch, rows }: Batch): Outcome {
    let quarantined = 0;
    for (const row of rows) {
      if (kind === 'p' && this.#isLate(row)) continue;
      if (refuses) {
        this.quarantine = [...this.quarantine, row];
        quarantined++;
      } else this.write(kind, row);
    }
    const outcome = { sequence, quarantined };
    this.watermarks[partition] = { sequence, token, epoch };
    this.journals[partition]!.set(token, outcome);
    return outcome;
  }

  /** The ledger knows the ids of entries for ever. */
  #isLate({ key, updates }: Pending): boolean {
    return this.updatesOf(key).some(({ id }) => id !== '' && id === updates[0]!.id);
  }
}
