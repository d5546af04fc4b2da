/** `sluice holds list` and `void`: filter, pages, report and audit record. */
import type { Sluice } from '../producer/client.ts';
import { createProducer } from '../producer/producer.ts';
import type { HoldPage, HoldReport } from '../replay/index.ts';
import { readConfig } from '../shared/config/config.ts';
import { readDefinitions } from '../shared/config/definitions.ts';
import { createLog } from '../shared/log.ts';
import type { HoldStatus } from '../shared/updates/hold.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { withFailed } from './failed-connections.ts';
import { wholeNumber } from './failed-filter.ts';
import { seconds, shorten } from './failed-look.ts';
import { operatorName } from './operator.ts';
import { table } from './table.ts';

interface ListFlags {
  readonly program?: string;
  readonly account?: string;
  readonly status?: string;
  readonly expiredFor?: string;
  readonly limit: string;
  readonly after?: string;
  readonly json?: boolean;
}

interface VoidFlags {
  readonly program: string;
  readonly account: string;
  readonly id: string;
  readonly reason: string;
  readonly operator?: string;
  readonly json?: boolean;
}

export async function runList(flags: ListFlags): Promise<ExitCode> {
  const { program, account, status, expiredFor, after } = flags;
  const filter = {
    ...(program === undefined ? {} : { program }),
    ...(account === undefined ? {} : { account }),
    ...(status === undefined ? {} : { status: status as HoldStatus }),
    ...(expiredFor === undefined ? {} : { expiredFor: wholeNumber('--expired-for', expiredFor) }),
  };
  const limit = wholeNumber('--limit', flags.limit);
  const found = await withFailed(({ holds }) => holds.list(filter, { limit, after }), { looks: true });
  console.log(flags.json ? JSON.stringify(found) : printPage(found));
  return EXIT.ok;
}

function printPage({ holds, next }: HoldPage): string {
  if (holds.length === 0) return 'no holds';
  const head = [
    'program',
    'account',
    'hold',
    'amount',
    'status',
    'posted',
    'expires at',
    'created at',
    'ended at',
  ];
  const rows = holds.map(one => [
    one.program,
    shorten(JSON.stringify(one.account), 40),
    shorten(JSON.stringify(one.id), 40),
    one.amount,
    one.status,
    one.posted,
    one.expiresAt === null ? 'never' : seconds(one.expiresAt),
    seconds(one.createdAt),
    one.endedAt === null ? '-' : seconds(one.endedAt),
  ]);
  const more = next === null ? '' : `\nfor the next page: --after ${next}`;
  return `${table(head, rows)}${more}`;
}

export async function runVoid(flags: VoidFlags): Promise<ExitCode> {
  const { program, account, id, reason } = flags;
  const author = { operator: operatorName(flags.operator), reason };
  const report = await withFailed(async ({ holds }) => {
    const sluice = await openProducer();
    try {
      return await holds.void({ program, account, id }, author, sluice);
    } finally {
      await sluice.close();
    }
  });
  console.log(flags.json ? JSON.stringify(report) : printReport(report));
  if (report.problem !== undefined) console.error(`sluice: ${report.outcome}: ${report.problem}`);
  return report.problem === undefined ? EXIT.ok : EXIT.found;
}

/** A void is an update like any other, so a producer sends it. */
async function openProducer(): Promise<Sluice> {
  const { redis, mysql, namespace, settings, durability, definitionsPath, logLevel } = readConfig(
    process.env,
  );
  const definitions = readDefinitions(definitionsPath);
  const log = createLog(logLevel ?? 'error', 'stderr');
  return (await createProducer({
    redis,
    mysql,
    definitions,
    namespace,
    settings,
    durability,
    log,
  })) as Sluice;
}

function printReport({ operation, hold, outcome, amount }: HoldReport): string {
  const what = `operation ${operation} (void) finished: the hold ${JSON.stringify(hold.id)} of ${JSON.stringify(hold.account)}`;
  if (outcome === 'voided') return `${what} is voided, and its ${amount} points are free`;
  return outcome === 'already' ? `${what} was voided before` : `${what} is not voided: ${outcome}`;
}
