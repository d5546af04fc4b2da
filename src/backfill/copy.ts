/**
 * Copies the rows of a source into Sluice, page by page: record -> send -> persisted -> move the checkpoint.
 *
 * Invariant: the checkpoint moves past a row only when its opening is in MySQL, in its place or in quarantine; and
 * before an opening is sent, the page that it belongs to is recorded. So a run that stops at any point leaves at
 * most one page of which some openings were sent and others not. Sending that page again counts nothing twice:
 *
 * - points: the ledger knows the id of each opening for ever, and Redis those that are not there yet
 * - values: to put an opening again changes nothing
 * - counters: Redis knows the ids. If it may have forgotten one, `#unsent` refuses, unless the receipts of the
 *   page were recorded and show that all of it is in MySQL
 */

import type { PoolConnection } from 'mysql2/promise';
import { paceDelay } from '../replay/pace.ts';
import { pause } from '../shared/clock.ts';
import { joinKey } from '../shared/composite-key.ts';
import type { Definitions } from '../shared/config/definitions.ts';
import { PersistenceUnknownError } from '../shared/errors.ts';
import { isValueKind } from '../shared/item.ts';
import type { Database } from '../shared/mysql/database.ts';
import { literalBytes, roomFor } from '../shared/mysql/statement-size.ts';
import type { Inspector } from '../shared/redis/inspect.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { BackfillError } from './errors.ts';
import { notInLedger } from './ledger.ts';
import { FIRST_PAGE, nextPage, type PaceLimits, Standstill } from './pace.ts';
import { holdPage, type Place, readPage, releasePage, type SourceRow } from './pages.ts';
import { Patience } from './patience.ts';
import type { Remembered } from './remembered.ts';
import { openingOf, useOf } from './rows.ts';
import type { Counts, OwnedRun, RecordedOpening, UnderWay } from './runs.ts';
import type { Sender, Sent } from './send.ts';
import type { Source } from './source.ts';
import type { Spec } from './spec.ts';
import { Unusable } from './unusable.ts';

export interface CopyParts {
  readonly database: Database;
  readonly keys: Keys;
  readonly inspector: Inspector;
  readonly remembered: Remembered;
  readonly sender: Sender;
  readonly definitions: Definitions;
  readonly source: Source;
  readonly spec: Spec;
  readonly run: OwnedRun;
}

/** The page is recorded; Redis has accepted it; its receipts are recorded; it is in MySQL; the run has ended. */
export type CopyStep = 'recorded' | 'sent' | 'accepted' | 'persisted' | 'finished';

export interface CopyOptions extends PaceLimits {
  readonly signal: AbortSignal;
  /** Leaves unusable rows out, instead of stopping at one. */
  readonly skipUnusable: boolean;
  /** What to do with the page that is under way at the start, if it is of counters and nobody can prove anything about it. */
  readonly unproven: 'discard' | 'apply' | undefined;
  /** How long a server may be away, ms. */
  readonly patienceMs: number;
  readonly onProgress: (counts: Counts, state: string) => void;
  /** Called between steps, for tests that stop it there. */
  readonly seam?: (step: CopyStep) => Promise<void> | void;
}

const LAG_POLL_MS = 200;

export class Copy {
  readonly #parts: CopyParts;
  readonly #options: CopyOptions;
  /** What an operator said of the page that was under way at the start. Nobody has looked at a later one. */
  #unproven: CopyOptions['unproven'];

  constructor(parts: CopyParts, options: CopyOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#unproven = options.unproven;
  }

  /**
   * Returns once all rows are copied, or the signal has stopped it. After a conflict, and while a server is away,
   * it begins again from its record, as another process would.
   * @throws BackfillError, and other errors
   */
  async run(): Promise<void> {
    const { signal, patienceMs } = this.#options;
    let last: Counts | undefined;
    const patience = new Patience(
      patienceMs,
      () => last && this.#options.onProgress(last, 'waiting for a server'),
      signal,
    );
    await patience.try(() =>
      this.#walk(counts => {
        last = counts;
        patience.renew();
      }),
    );
  }

  /** @param onPage called after each page */
  async #walk(onPage: (counts: Counts) => void): Promise<void> {
    const { run } = this.#parts;
    const { signal, rate } = this.#options;
    const record = await run.read();
    // The answer that it has ended was lost. It has no place any more, so it would walk all rows again.
    if (record.finishedAt !== null) return;
    let { place, counts } = record;
    const { page, receipts } = record;
    if (page) {
      this.#options.onProgress(counts, 'resuming');
      counts = await this.#settle(place, page, receipts ?? 'unknown');
      place = page.until;
      onPage(counts);
    }
    this.#unproven = undefined;
    const startedAt = performance.now();
    const before = counts.passed;
    let rows = nextPage(FIRST_PAGE, this.#options.lagMs, this.#options);
    for (;;) {
      await this.#untilCaughtUp(counts);
      if (rate !== undefined)
        await pause(paceDelay(startedAt, counts.passed - before, rate, performance.now()), signal);
      if (signal.aborted) return;
      const next = await this.#begin(place, counts, rows);
      if (!next) {
        // The place is a key, which may be a person's.
        await run.move(undefined, counts, true);
        await this.#options.seam?.('finished');
        return;
      }
      const sentAt = performance.now();
      counts = await this.#settle(place, next, 'unsent');
      place = next.until;
      rows = nextPage(rows, performance.now() - sentAt, this.#options);
      onPage(counts);
      this.#options.onProgress(counts, 'copying');
    }
  }

  /** Waits while the flush is behind. @throws BackfillError if it stands */
  async #untilCaughtUp(counts: Counts): Promise<void> {
    const { signal, lagMs, patienceMs, onProgress } = this.#options;
    const standstill = new Standstill();
    for (;;) {
      const all = await this.#parts.inspector.all();
      const behind = all.filter(({ lagSeconds }) => 1000 * lagSeconds > lagMs);
      if (behind.length === 0 || signal.aborted) return;
      const stands = standstill.longest(behind, performance.now())!;
      if (stands.ms > patienceMs)
        throw new BackfillError(
          'BACKFILL_STALLED',
          `The flush of partition ${stands.partition} is behind and has not moved for ${Math.round(stands.ms / 1000)} s; look whether workers run (sluice status), then start the same backfill again to go on.`,
        );
      onProgress(counts, 'waiting for the flush');
      await pause(LAG_POLL_MS, signal);
    }
  }

  /** Reads the next page and records it as under way. Undefined if there is none. */
  async #begin(after: Place | undefined, counts: Counts, limit: number): Promise<UnderWay | undefined> {
    const { database, source, run } = this.#parts;
    const begin = async (connection: PoolConnection) => {
      const rows =
        source.mark === null
          ? await readPage(connection, source, after, limit)
          : await holdPage(connection, source, after, limit);
      if (rows.length === 0) return undefined;
      const page = await this.#pageOf(rows, counts);
      if (literalBytes(JSON.stringify(page)) > roomFor(connection) && limit > 1) throw new TooLarge();
      await run.record(page, connection);
      return page;
    };
    try {
      const page = await database.transaction(begin);
      await this.#options.seam?.('recorded');
      return page;
    } catch (error) {
      if (error instanceof TooLarge) return this.#begin(after, counts, Math.ceil(limit / 2));
      throw error;
    }
  }

  async #pageOf(rows: readonly SourceRow[], counts: Counts): Promise<UnderWay> {
    const { run, spec, definitions, keys, remembered } = this.#parts;
    const openings: RecordedOpening[] = [];
    const unusable = new Unusable();
    let empty = 0;
    for (const row of rows) {
      const use = useOf(row, run.run, spec, definitions);
      if ('opening' in use) openings.push(use.opening);
      else if ('empty' in use) empty++;
      else unusable.note(row, use.unusable);
    }
    if (unusable.rows > 0 && !this.#options.skipUnusable) throw unusable.error(spec);
    const partitions = new Set(openings.map(([key]) => keys.partitionOf(keyText(key))));
    const amount = openings.reduce((sum, [, one]) => sum + BigInt(one), BigInt(counts.amount));
    return {
      until: rows.at(-1)!.place,
      since: await remembered.moments([...partitions]),
      openings,
      counts: {
        ...counts,
        passed: counts.passed + rows.length,
        copied: counts.copied + openings.length,
        empty: counts.empty + empty,
        skipped: counts.skipped + unusable.rows,
        amount: String(amount),
      },
    };
  }

  /**
   * Brings the page into MySQL, then moves the checkpoint behind it.
   * @param sent its receipts, or what is known without them
   */
  async #settle(after: Place | undefined, page: UnderWay, sent: Sent): Promise<Counts> {
    const { database, source, run, spec, sender } = this.#parts;
    let quarantined = 0;
    for (let state = sent; ; state = 'unknown') {
      try {
        const openings = await this.#unsent(page, state);
        const updates = openings.map(opening => openingOf(opening, run.run, spec));
        await run.check();
        const accepted = isReceipts(state)
          ? sender.known(state)
          : await sender.send(updates, spec.kind === 'c');
        await this.#options.seam?.('sent');
        if (!isReceipts(state)) await run.accepted(sender.lastOf(accepted));
        await this.#options.seam?.('accepted');
        quarantined += await sender.persisted(accepted);
        break;
      } catch (error) {
        // Redis lost something after it had accepted the page: what is left of it has to be found out.
        if (!(error instanceof PersistenceUnknownError)) throw error;
      }
    }
    await this.#options.seam?.('persisted');
    const counts = { ...page.counts, quarantined: page.counts.quarantined + quarantined };
    await database.transaction(async connection => {
      if (source.mark !== null) await releasePage(connection, source, after, page.until);
      await run.move(page.until, counts, false, connection);
    });
    return counts;
  }

  /** What has to be sent, if anything: nothing that may count twice. @throws BackfillError */
  async #unsent(page: UnderWay, state: Sent): Promise<readonly RecordedOpening[]> {
    const { database, spec, run } = this.#parts;
    if (isReceipts(state)) return [];
    // What a value keeps does not change if an opening is put again: it is older than all other puts.
    if (state === 'unsent' || isValueKind(spec.kind)) return page.openings;
    if (spec.kind === 'p') return notInLedger(database, page.openings, run.run, spec.to);
    const doubt = await this.#parts.remembered.doubt(page.since);
    if (doubt === undefined || this.#unproven === 'apply') return page.openings;
    if (this.#unproven === 'discard') return [];
    const ends = [page.openings[0], page.openings.at(-1)].map(one => JSON.stringify(one?.[0]));
    throw new BackfillError(
      'BACKFILL_UNPROVEN',
      `The backfill ${run.run} was interrupted while it sent ${page.openings.length} values of counters, with keys from ${ends[0]} to ${ends[1]}, and nobody can prove which of them were counted: ${doubt}. Nothing was sent. Look at these counters, then go on with --unproven discard (sends none of them; some may be missing) or --unproven apply (sends all of them; some may count twice).`,
    );
  }
}

function isReceipts(sent: Sent): sent is readonly string[] {
  return typeof sent !== 'string';
}

/** The text that decides the partition. */
function keyText(key: readonly string[]): string {
  return key.length === 1 ? key[0]! : joinKey(key);
}

/** Rolls the page back: its record does not fit a statement. */
class TooLarge extends Error {}
