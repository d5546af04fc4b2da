/** Builds the boards of ranked names, and reads noted keys: any worker, a step at a time. */
import type { Logger } from 'pino';
import type { Definitions } from '../shared/config/definitions.ts';
import { TableUnusableError } from '../shared/errors.ts';
import { SHOWN_KINDS } from '../shared/item.ts';
import type { BoardBuilder, Progress } from '../shared/ranks/builder.ts';
import { type Board, rankedNames } from '../shared/ranks/reader.ts';
import { RepeatedLines } from '../shared/repeated.ts';
import { type Circuit, isOutage } from './circuit.ts';
import { Rounds, spread } from './rounds.ts';

export interface RanksParts {
  readonly builder: BoardBuilder;
  readonly definitions: Definitions;
  readonly circuit: Pick<Circuit, 'isOpen'>;
  readonly random: () => number;
  readonly log: Logger;
}

/** Mean time between rounds, ms: how long a noted key waits. */
const EVERY_MS = 500;
/** How long a round works on a board that has more to do. A build takes far longer, and other boards wait for it. */
const SHARE_MS = 500;

export class Ranks {
  readonly #parts: RanksParts;
  readonly #boards: readonly Board[];
  readonly #rounds: Rounds;
  readonly #lines: RepeatedLines;
  /** Boards that were not ready when this worker looked last. */
  readonly #building = new Set<Board>();
  /** Whether the last round left something that can be done at once. */
  #hasMore = false;

  constructor(parts: RanksParts) {
    this.#parts = parts;
    this.#boards = rankedNames(parts.definitions);
    this.#lines = new RepeatedLines(parts.log);
    this.#rounds = new Rounds({
      every: () => (this.#hasMore ? 0 : spread(EVERY_MS, parts.random)),
      round: () => this.once(),
      onError: error => this.#failed(error),
    });
  }

  start(): void {
    if (this.#boards.length > 0) this.#rounds.start();
  }

  /** Resolves when a running round has ended. */
  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** One round: every board as far as it goes now, or for its share of the time. */
  async once(): Promise<void> {
    this.#hasMore = false;
    for (const board of this.#boards) {
      // The other boards go on all the same.
      await this.#work(board).catch(error => this.#failed(error, board));
    }
  }

  async #work(board: Board): Promise<void> {
    const { builder, circuit } = this.#parts;
    const end = performance.now() + SHARE_MS;
    while (!circuit.isOpen && !this.#rounds.stopped) {
      const { progress, goesOn } = await builder.step(board);
      this.#report(board, progress);
      if (progress.some(({ phase }) => phase === 'none')) await builder.begin(board);
      else if (!goesOn) return;
      if (performance.now() >= end) {
        this.#hasMore = true;
        return;
      }
    }
  }

  #report(board: Board, progress: readonly Progress[]): void {
    const { log } = this.#parts;
    const about = { kind: SHOWN_KINDS[board.kind], name: board.name };
    const isReady = progress.every(({ phase }) => phase === 'ready');
    if (isReady && this.#building.delete(board)) log.info(about, 'the ranks are ready');
    if (isReady || this.#building.has(board)) return;
    this.#building.add(board);
    log.info(about, 'the ranks are being built');
  }

  #failed(error: unknown, board?: Board): void {
    const { log } = this.#parts;
    const about = { err: error, ...(board ? { name: board.name } : {}) };
    if (isOutage(error) || this.#rounds.stopped) log.debug(about, 'the ranks wait for a server');
    else if (error instanceof TableUnusableError) log.debug(about, 'the ranks wait for their mapped table');
    else this.#lines.warn(about, 'could not go on with the ranks, will retry');
  }
}
