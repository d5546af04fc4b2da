// The result of the demo: a table for people, JSON for programs.

export interface Report {
  acknowledged: number;
  /** Refused updates by error code. */
  refused: Record<string, number>;
  /** Updates in MySQL. */
  persisted: number;
  /** Sum of absolute differences over keys, accounts and ledger rows. */
  difference: number;
  /** Whether nothing is left pending. */
  complete: boolean;
  /** Time from the first call until everything was in MySQL. */
  seconds: number;
  lag: { p50: number; p99: number };
  updatesTaken: number;
  rowsWritten: number;
}

const count = (value: number) => Math.round(value).toLocaleString('en-US');
const ms = (seconds: number) => `${count(seconds * 1000)} ms`;

export function tableOf(report: Report): string {
  const { acknowledged, persisted, difference, seconds, lag, updatesTaken, rowsWritten } = report;
  const rows: [string, string, string?][] = [
    ['acknowledged', count(acknowledged)],
    ['in MySQL', count(persisted)],
    ['difference', count(difference), difference === 0 ? 'nothing lost, nothing doubled' : 'THIS MUST BE 0'],
    [
      'updates a second',
      count(acknowledged / seconds),
      `over ${seconds.toFixed(1)} s, until the last was in MySQL`,
    ],
    ['flush lag p50', ms(lag.p50)],
    ['flush lag p99', ms(lag.p99), 'including the killed worker'],
    [
      'rows written',
      count(rowsWritten),
      `for ${count(updatesTaken)} updates taken: ${(updatesTaken / rowsWritten).toFixed(1)} updates a row`,
    ],
  ];
  const refused = Object.entries(report.refused);
  for (const [code, number] of refused) rows.push([`refused`, count(number), code]);
  if (!report.complete) rows.push(['NOT DRAINED', '', 'updates were still pending after the time limit']);
  return rows
    .map(([name, value, remark = '']) => `  ${name.padEnd(18)}${value.padStart(12)}   ${remark}`.trimEnd())
    .join('\n');
}

export function jsonOf(report: Report) {
  const round = (seconds: number) => Math.round(seconds * 1000) / 1000;
  return {
    acknowledged: report.acknowledged,
    persisted: report.persisted,
    difference: report.difference,
    updatesPerSecond: Math.round(report.acknowledged / report.seconds),
    flushLagSeconds: { p50: round(report.lag.p50), p99: round(report.lag.p99) },
    updatesTaken: report.updatesTaken,
    rowsWritten: report.rowsWritten,
  };
}
