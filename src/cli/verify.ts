/**
 * `sluice verify`: shows drift of live values and repairs it on request; shows ledgers and transfers that do
 * not add up, holds whose entries do not fit, and wrong sums of open holds.
 */
import { type Drift, type Verification, verify } from '../recovery/verify.ts';
import { shownKey } from '../shared/composite-key.ts';
import { withConnections } from './connections.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { authorOf } from './operator.ts';
import { table } from './table.ts';

export interface VerifyOptions {
  readonly repair?: boolean;
  readonly operator?: string;
  readonly reason?: string;
  readonly json?: boolean;
}

export async function runVerify(options: VerifyOptions): Promise<ExitCode> {
  const { repair, json } = options;
  const request = authorOf(options, '--repair', repair);
  const found = await withConnections(open => verify(open, request), { looks: !request });
  console.log(json ? JSON.stringify(found) : print(found, repair === true));
  const { drift, scores = [], ledger, transfers, holds = [], openHolds = [], unread } = found;
  const drifting = !repair && drift.length + scores.length + openHolds.length > 0;
  // What is not listed follows a full list.
  const wrong = ledger.length + transfers.length + holds.length > 0;
  return drifting || wrong || unread ? EXIT.found : EXIT.ok;
}

function print(found: Verification, repaired: boolean): string {
  const {
    checked,
    drift,
    scores = [],
    ledger,
    transfers,
    holds = [],
    openHolds = [],
    unlisted,
    unread = [],
  } = found;
  const state = (found: readonly unknown[]) => (repaired && found.length > 0 ? ', repaired' : '');
  const lines = [
    `${checked} comparisons, ${drift.length} keys with drift${state(drift)}, ` +
      `${ledger.length} ledgers and ${transfers.length} transfers that do not add up`,
  ];
  if (scores.length > 0) lines.push(`${scores.length} wrong scores${state(scores)}`);
  if (holds.length > 0) lines.push(`${holds.length} holds whose entries do not fit`);
  if (openHolds.length > 0) lines.push(`${openHolds.length} wrong sums of open holds${state(openHolds)}`);
  if (unlisted)
    lines.push(
      `not listed: ${unlisted.drift} more keys with drift, ${unlisted.ledger} more ledgers, ${unlisted.transfers} more transfers, ${unlisted.holds} more holds`,
    );
  for (const { kind, name, reason } of unread) lines.push(`not compared: ${kind} ${name}. ${reason}`);
  if (drift.length > 0) {
    const rows = drift.map(d => [
      d.kind,
      d.name,
      shownKey(d.key),
      d.exactLive ?? d.live ?? 'none',
      second(d),
    ]);
    lines.push(
      table(['kind', 'name', 'key', ...(repaired ? ['was', 'became'] : ['live', 'expected'])], rows),
    );
  }
  const holding = drift.filter(d => d.held !== undefined);
  if (holding.length > 0) {
    const rows = holding.map(d => [d.name, shownKey(d.key), d.exactHeld ?? d.held!, d.expectedHeld!]);
    const [was, right] = repaired ? ['held before', 'holds now'] : ['held', 'expected'];
    lines.push(table(['program', 'account', was!, right!], rows));
  }
  if (scores.length > 0) {
    const rows = scores.map(s => [s.kind, s.name, shownKey(s.key), s.score ?? 'none', second(s)]);
    lines.push(table(['kind', 'name', 'key', 'score', repaired ? 'became' : 'expected'], rows));
  }
  if (ledger.length > 0) {
    const rows = ledger.map(l => [l.program, JSON.stringify(l.account), l.balance, l.sum]);
    lines.push(table(['program', 'account', 'balance', 'sum of entries'], rows));
  }
  if (transfers.length > 0) {
    const rows = transfers.map(t => [t.program, t.transfer, t.problem, t.sum]);
    lines.push(table(['program', 'transfer', 'problem', 'sum'], rows));
  }
  if (holds.length > 0) {
    const rows = holds.map(h => [h.program, JSON.stringify(h.account), h.hold, h.problem, h.posted, h.taken]);
    lines.push(table(['program', 'account', 'hold', 'problem', 'posted', 'taken by its entry'], rows));
  }
  if (openHolds.length > 0) {
    const rows = openHolds.map(
      ({ program, partition, holds: kept, expectedHolds, points, expectedPoints }) => {
        return [program, partition, kept, expectedHolds, points, expectedPoints];
      },
    );
    const heads = ['program', 'partition', 'open holds', 'in the rows', 'points', 'in the rows'];
    lines.push(table(heads, rows));
  }
  return lines.join('\n');
}

function second({ expected, became }: Pick<Drift, 'expected' | 'became'>): number | string {
  if (expected === null) return 'none';
  if (became !== undefined) return became ?? 'deleted';
  return Number.isSafeInteger(expected) ? expected : 'out of range';
}
