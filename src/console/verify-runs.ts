/** The comparison that this process runs, if any, and the result of the last one. */
import type { Logger } from 'pino';
import { RequestError } from '../http/request-error.ts';
import { type Drift, type Repair, type Verification, type VerifyParts, verify } from '../recovery/verify.ts';
import { shownKey } from '../shared/composite-key.ts';
import { SluiceError } from '../shared/errors.ts';
import { explain } from '../shared/explain.ts';
import { heldDigits, liveDigits } from '../shared/values/comparison.ts';
import type { VerifyState } from './answers.ts';

type Parts = VerifyParts & { readonly address: string };
type Last = NonNullable<VerifyState['last']>;

/** Differences that an answer lists, of each kind. */
const LISTED = 1000;

export class VerifyRuns {
  readonly #log: Logger;
  readonly #stop = new AbortController();
  #running: VerifyState['running'] = null;
  #last: VerifyState['last'] = null;
  #end: Promise<void> = Promise.resolve();

  constructor(log: Logger) {
    this.#log = log;
  }

  get state(): VerifyState {
    return { running: this.#running, last: this.#last };
  }

  /**
   * Starts a comparison of everything and goes on with it.
   * @param by the operator
   * @param repair corrects what is wrong, with its audit record
   * @throws RequestError if one is running
   */
  start(parts: Parts, by: string, repair?: Repair): void {
    if (this.#running)
      throw new RequestError(
        'VERIFY_RUNNING',
        `A comparison that ${this.#running.by} started runs here already; wait for its result.`,
      );
    const running = { startedAt: new Date().toISOString(), by, repairs: repair !== undefined };
    this.#running = running;
    this.#end = this.#run(parts, running, repair).finally(() => {
      this.#running = null;
    });
  }

  async #run(
    parts: Parts,
    { startedAt, by }: Pick<Last, 'startedAt' | 'by'>,
    repair?: Repair,
  ): Promise<void> {
    let result: Omit<Last, 'startedAt' | 'by' | 'finishedAt'>;
    try {
      const found = await verify(parts, repair, { signal: this.#stop.signal, isGentle: true });
      result = shownResult(found, repair !== undefined);
    } catch (cause) {
      if (this.#stop.signal.aborted) return;
      const error = explain(cause, parts.address, parts.database.address);
      this.#log.error({ err: error }, 'a comparison of all values was interrupted');
      const why = error instanceof SluiceError ? error.message : 'The log of the console says why.';
      result = { ...NOTHING, error: why };
    }
    this.#last = { startedAt, by, finishedAt: new Date().toISOString(), ...result };
  }

  /** Ends it. Its repair record stays unfinished, as of an interrupted command. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the console is closing'));
    await this.#end;
  }
}

const NOTHING = {
  ...{ error: null, checked: 0, drift: [], ledger: [], more: [] },
  ...{ unlisted: 0, alsoWrong: 0, unread: 0 },
} as const;

function shownResult(found: Verification, repaired: boolean): Omit<Last, 'startedAt' | 'by' | 'finishedAt'> {
  const { checked, drift, scores = [], ledger, transfers, holds = [], openHolds = [], unread = [] } = found;
  const beyond = Object.values(found.unlisted ?? {}).reduce((sum, count) => sum + count, 0);
  const cut = Math.max(0, drift.length - LISTED) + Math.max(0, ledger.length - LISTED);
  return {
    error: null,
    checked,
    drift: drift.slice(0, LISTED).map(shownDrift),
    ledger: ledger.slice(0, LISTED).map(({ program, account, balance, sum }) => {
      return { program, account, balance: String(balance), sum: String(sum) };
    }),
    more: moreOf(found, repaired),
    unlisted: beyond + cut,
    alsoWrong: scores.length + transfers.length + holds.length + openHolds.length,
    unread: unread.length,
  };
}

function shownDrift(drift: Drift): Last['drift'][number] {
  const { kind, name, key, expected, expectedHeld, became } = drift;
  const exact = (number: number | null | undefined) =>
    number === null || number === undefined ? null : String(number);
  return {
    ...{ kind, name, key, shownKey: shownKey(key) },
    ...{ live: liveDigits(drift), expected: exact(expected), became: exact(became) },
    held: expectedHeld === undefined ? null : { live: heldDigits(drift), expected: String(expectedHeld) },
  };
}

function moreOf(found: Verification, repaired: boolean): string[] {
  const { scores = [], transfers, holds = [], openHolds = [], unread = [] } = found;
  const counted = (count: number, what: string) => (count === 0 ? [] : [`${count} ${what}.`]);
  const state = repaired ? 'were wrong and are repaired' : 'are wrong';
  return [
    ...counted(scores.length, `scores of ranked names ${state}`),
    ...counted(transfers.length, 'transfers do not add up; `sluice verify` lists them'),
    ...counted(holds.length, 'holds do not fit their entries; `sluice verify` lists them'),
    ...counted(openHolds.length, `sums of open holds, which metrics show, ${state}`),
    ...unread.map(({ kind, name, reason }) => `The ${kind} ${name} was not compared. ${reason}`),
  ];
}
