/** `sluice rank NAME`: shows the first members of a ranked counter, program or value; builds or drops its board. */

import { pause } from '../shared/clock.ts';
import { shownKey } from '../shared/composite-key.ts';
import { type Definitions, definedNames, definitionOf } from '../shared/config/definitions.ts';
import { ConfigurationError, NotRankedError, UnknownNameError } from '../shared/errors.ts';
import { type Kind, ROW_KINDS } from '../shared/item.ts';
import { BoardBuilder, type Progress } from '../shared/ranks/builder.ts';
import type { Ranked } from '../shared/ranks/merge.ts';
import { type Board, RankReader } from '../shared/ranks/reader.ts';
import { withConnections } from './connections.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { wholeNumber } from './failed-filter.ts';
import { table } from './table.ts';

export interface RankOptions {
  readonly top: string;
  readonly around?: string;
  readonly points?: boolean;
  readonly build?: boolean;
  readonly drop?: boolean;
  readonly json?: boolean;
}

const KINDS = Object.keys(ROW_KINDS) as Kind[];
const MOST = 1000;
const TELL_EVERY_MS = 1000;
const POLL_MS = 100;

export async function runRank(name: string, options: RankOptions): Promise<ExitCode> {
  const { build, drop, json, around } = options;
  const count = wholeNumber('--top', options.top);
  if (count < 1 || count > MOST) throw new ConfigurationError(`--top must be from 1 to ${MOST}.`);
  if (build && drop) throw new ConfigurationError('--build and --drop are opposites; give one of them.');
  return withConnections(
    async open => {
      const board = boardOf(name, options, open.definitions);
      const builder = new BoardBuilder(open);
      if (drop) {
        // The kind of a name without a definition is not known.
        const kinds = definitionOf(board.kind, name, open.definitions) ? [board.kind] : KINDS;
        for (const kind of options.points ? [board.kind] : kinds) await builder.drop({ kind, name });
        console.log(json ? JSON.stringify({ name, dropped: true }) : `${name}: the ranks are dropped`);
        return EXIT.ok;
      }
      if (build) await buildAll(builder, board);
      const reader = new RankReader(open.redis, open.keys, call => call());
      const { size, exact, members } = await (around === undefined
        ? reader.top(board, count)
        : reader.around(board, around, Math.floor(count / 2)));
      const shown = members.map(({ rank, key, value }) => ({ rank, key, value }));
      console.log(
        json ? JSON.stringify({ name, size, exact, members: shown }) : print(name, size, exact, members),
      );
      return EXIT.ok;
    },
    { looks: !build && !drop },
  );
}

/** @throws UnknownNameError, NotRankedError, ConfigurationError */
function boardOf(name: string, { points, drop }: RankOptions, definitions: Definitions): Board {
  const named = definedNames(definitions).filter(one => one.name === name);
  const isProgram = points ?? named[0]?.kind === 'p';
  const board: Board = (points ? undefined : named[0]) ?? { kind: isProgram ? 'p' : 'c', name };
  const defined = definitionOf(board.kind, name, definitions);
  const known = isProgram ? definitions.points : definitions.counters;
  if (drop && defined?.ranked)
    throw new ConfigurationError(
      `${name} is ranked, so a worker would build its ranks again; remove "ranked" from its definition, restart the workers, then drop the ranks.`,
    );
  if (drop) return board;
  if (!defined) throw new UnknownNameError(isProgram ? 'program' : 'counter', name, Object.keys(known));
  if (!defined.ranked) throw new NotRankedError(name);
  return board;
}

/** Builds the board anew, or goes on with a build, and tells how far it is. */
async function buildAll(builder: BoardBuilder, board: Board): Promise<void> {
  let told = Number.NEGATIVE_INFINITY;
  await builder.begin(board, true);
  for (;;) {
    const { progress, goesOn } = await builder.step(board);
    const isReady = progress.every(({ phase, noted }) => phase === 'ready' && noted === 0);
    if (isReady || performance.now() - told >= TELL_EVERY_MS) {
      told = performance.now();
      console.error(`sluice: ${board.name}: ${tale(progress)}`);
    }
    if (isReady) return;
    // Another process may have a new epoch, or has not begun yet.
    if (progress.some(({ phase }) => phase === 'none')) await builder.begin(board);
    if (!goesOn) await pause(POLL_MS);
  }
}

function tale(progress: readonly Progress[]): string {
  const count = (wanted: Progress['phase']) => progress.filter(({ phase }) => phase === wanted).length;
  const members = progress.reduce((sum, one) => sum + one.members, 0);
  const noted = progress.reduce((sum, one) => sum + one.noted, 0);
  const waiting = count('wait') > 0 ? `${count('wait')} wait for a flush, ` : '';
  return (
    `${count('ready')} of ${progress.length} partitions are ready, ${waiting}` +
    `${members} members written, ${noted} keys to read again`
  );
}

function print(name: string, size: number, exact: boolean, members: readonly Ranked[]): string {
  const head = `${name}: ${size} members${exact ? '' : ', not exact now: the ranks are being built or corrected'}`;
  if (members.length === 0) return head;
  const rows = members.map(({ rank, key, value }) => [rank, shownKey(key), value]);
  return `${head}\n${table(['rank', 'key', 'value'], rows)}`;
}
