/**
 * Compares transfers: each debit in the ledger has one credit, for the account that the user named, or that an
 * operator named instead. No loss of Redis excuses a difference, since the debit is in MySQL.
 */
import { creditedBy, creditId } from '../../src/shared/updates/record.ts';
import type { HeldEntry, Holdings } from './holdings.ts';
import { isPost } from './holds.ts';
import type { JournalledUpdate } from './journal.ts';

/** What is known of a transfer that an operator returned. */
interface Return {
  /** Accounts that returns named of which the answer was lost, or which came too late. */
  readonly possible: Set<string>;
  /** The account that the last answered return named. */
  last: string | undefined;
}

/** What the database refused, and what the operator did about it. */
export interface Decisions {
  /** By the names of transfers. */
  readonly returns: Map<string, Return>;
  /**
   * `program account`, or only the program: a credit was refused, perhaps after it was spent, so debits may lead
   * below the floor.
   */
  readonly refused: Set<string>;
}

export const noDecisions = (): Decisions => ({ returns: new Map(), refused: new Set() });

export function isCredit(entry: HeldEntry): boolean {
  return creditedBy(entry) !== undefined;
}

/** @param updates by program, account and id @returns what is wrong */
export function compareTransfers(
  updates: ReadonlyMap<string, JournalledUpdate>,
  { entries, inTransit }: Holdings,
  { returns }: Decisions,
): string[] {
  const problems: string[] = [];
  const credits = Map.groupBy(entries.filter(isCredit), credit => creditedBy(credit)!);
  const seen = new Set<string>();
  for (const debit of entries) {
    // An entry in quarantine is no debit yet.
    if (isCredit(debit) || isPost(debit) || debit.balanceAfter === undefined) continue;
    const { program, account, id, transfer } = debit;
    const update = updates.get(`${program} ${account} ${id}`);
    if (transfer !== null) seen.add(transfer);
    const wrong = wrongWith(debit, update, credits.get(transfer ?? '') ?? [], returns, inTransit);
    if (wrong) problems.push(`entry ${id} of ${program} ${account}, transfer ${transfer}, ${wrong}`);
  }
  for (const [transfer, [credit]] of credits)
    if (!seen.has(transfer)) problems.push(`transfer ${transfer} credits ${credit!.account} without a debit`);
  return problems;
}

function wrongWith(
  debit: HeldEntry,
  update: JournalledUpdate | undefined,
  credits: readonly HeldEntry[],
  returns: Decisions['returns'],
  inTransit: Holdings['inTransit'],
): string | undefined {
  const { transfer, other, program, account, amount } = debit;
  const to = update?.to;
  if (transfer === null) return to === undefined ? undefined : `should go to ${to} and is no transfer`;
  if (to === undefined || to !== other) return `goes to ${other} and should go to ${to ?? 'nobody'}`;
  const [credit] = credits;
  if (!credit) {
    const resolved = update!.credited ? ', although credited() had resolved' : '';
    return `is not credited: it is ${inTransit.get(transfer) ?? 'not in transit'}${resolved}`;
  }
  if (credits.length > 1) return `is credited ${credits.length} times`;
  if (inTransit.has(transfer)) return 'is credited and in transit';
  if (credit.program !== program || credit.amount !== -amount || credit.other !== account)
    return `is credited with ${credit.amount} of ${credit.program} from ${credit.other}`;
  if (credit.id !== creditId(credit.transfer ?? '')) return `has a credit of transfer ${credit.transfer}`;
  const expected = accountsOf(to, returns.get(transfer));
  if (expected.has(credit.account)) return undefined;
  return `is credited to ${credit.account} instead of ${[...expected].join(' or ')}`;
}

function accountsOf(to: string, returned: Return | undefined): Set<string> {
  if (!returned) return new Set([to]);
  return new Set([...returned.possible, returned.last ?? to]);
}
