/** Sends the openings of a page and waits until they are in MySQL. */
import type { ApplyResult } from '../producer/callers.ts';
import type { Openings } from '../producer/openings.ts';
import type { KeptReceipt } from '../producer/receipt.ts';
import { readReceipt } from '../producer/receipt-text.ts';
import { settle } from '../producer/settle.ts';
import { PersistTimeoutError, QuarantinedError } from '../shared/errors.ts';
import { BackfillError } from './errors.ts';
import type { Opening } from './rows.ts';

/** Receipts of a page, or what is known of it without: nothing was sent, or some of it may have been. */
export type Sent = readonly string[] | 'unsent' | 'unknown';

type Accepted = Pick<KeptReceipt, 'persisted'> & { readonly text: string };

const SHOWN = 5;

export class Sender {
  readonly #openings: Pick<Openings, 'apply' | 'receipt'>;
  readonly #patienceMs: number;

  /** @param patienceMs how long to wait for a server that is away, and for the workers */
  constructor(openings: Pick<Openings, 'apply' | 'receipt'>, patienceMs: number) {
    this.#openings = openings;
    this.#patienceMs = patienceMs;
  }

  /**
   * Returns once Redis has accepted all of them.
   * @param isOnce whether a call without an answer ends it: what was sent may be in MySQL, and Redis may have
   * lost it since. So whoever sends it again must ask first
   * @throws BackfillError
   */
  async send(updates: readonly Opening[], isOnce: boolean): Promise<Accepted[]> {
    const accepted: Accepted[] = [];
    const refused: string[] = [];
    const stuck = await settle(
      this.#openings,
      updates.map((update, at) => ({ line: at, update })),
      { patienceMs: isOnce ? 0 : this.#patienceMs },
      {
        accepted: (_, result: Extract<ApplyResult, { ok: true }>) => void accepted.push(result),
        rejected: (at, { code, message }) => void refused.push(`${shown(updates[at]!)}: ${code}: ${message}`),
      },
    );
    if (stuck)
      throw new BackfillError(
        'BACKFILL_STALLED',
        `Redis did not accept ${stuck.others + 1} values (${stuck.error.code}: ${stuck.error.message}); start the same backfill again to go on.`,
        { retryable: isOnce && stuck.error.retryable },
      );
    if (refused.length > 0)
      throw new BackfillError(
        'BACKFILL_REFUSED',
        `Redis refused ${refused.length} values of this page for good: ${refused.slice(0, SHOWN).join('; ')}. The page is recorded with its amounts, so changing the table does not help: where it says OUT_OF_RANGE, bring the value of the destination nearer to 0, then start the same backfill again.`,
      );
    return accepted;
  }

  /** The receipts with these texts. */
  known(texts: readonly string[]): Accepted[] {
    return texts.flatMap(text => {
      const receipt = this.#openings.receipt(text);
      return receipt ? [{ text, persisted: options => receipt.persisted(options) }] : [];
    });
  }

  /**
   * The receipts that stand for all: the last one of a partition is in MySQL after all others. One of each life of
   * Redis, since a failover between two calls may have lost what the first one was answered.
   */
  lastOf(accepted: readonly Accepted[]): string[] {
    const last = new Map<string, { readonly updates: number; readonly text: string }>();
    for (const { text } of accepted) {
      const { partition, epoch, incarnation, updates } = readReceipt(text)!.mark;
      const life = `${partition} ${epoch} ${incarnation}`;
      if ((last.get(life)?.updates ?? -1) <= updates) last.set(life, { updates, text });
    }
    return [...last.values()].map(({ text }) => text);
  }

  /**
   * Returns once all of them are in MySQL, and how many of them are in quarantine.
   * @throws PersistenceUnknownError if Redis lost updates, BackfillError if nobody writes them
   */
  async persisted(accepted: readonly Accepted[]): Promise<number> {
    const options = { timeoutMs: this.#patienceMs };
    const ends = await Promise.allSettled(accepted.map(receipt => receipt.persisted(options)));
    let quarantined = 0;
    const errors = ends.flatMap(end => (end.status === 'rejected' ? [end.reason as unknown] : []));
    for (const error of errors) {
      if (error instanceof QuarantinedError) quarantined++;
      else if (error instanceof PersistTimeoutError)
        throw new BackfillError(
          'BACKFILL_STALLED',
          `What the backfill sent is not in MySQL yet: ${error.message} Then start the same backfill again to go on.`,
          { cause: error },
        );
      else throw error;
    }
    return quarantined;
  }
}

function shown(update: Opening): string {
  return JSON.stringify('points' in update ? update.account : update.key);
}
