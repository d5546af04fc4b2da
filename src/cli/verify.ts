/** `sluice verify`: drift of live values, and ledgers that do not add up to their balances. */
import { type Verification, verify } from '../shared/verify.ts';
import { withConnections } from './connections.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { table } from './table.ts';

export async function runVerify(options: { json?: boolean }): Promise<ExitCode> {
  const found = await withConnections(verify);
  console.log(options.json ? JSON.stringify(found) : print(found));
  return found.drift.length > 0 || found.ledger.length > 0 ? EXIT.found : EXIT.ok;
}

function print({ checked, drift, ledger }: Verification): string {
  const lines = [
    `${checked} keys checked, ${drift.length} with drift, ${ledger.length} ledgers that do not add up`,
  ];
  if (drift.length > 0) {
    const rows = drift.map(d => [d.kind, d.name, JSON.stringify(d.key), d.live, d.expected]);
    lines.push(table(['kind', 'name', 'key', 'live', 'expected'], rows));
  }
  if (ledger.length > 0) {
    const rows = ledger.map(l => [l.program, JSON.stringify(l.account), l.balance, l.sum]);
    lines.push(table(['program', 'account', 'balance', 'sum of entries'], rows));
  }
  return lines.join('\n');
}
