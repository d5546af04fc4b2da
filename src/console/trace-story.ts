/** Tells what became of an entry, in one sentence and in steps, from what both servers know. No I/O. */
import { shownKey } from '../shared/composite-key.ts';
import { parseExact } from '../shared/exact-json.ts';
import type { Rows } from '../shared/mysql/database.ts';
import type { FailedUpdate } from '../shared/updates/failed-update.ts';
import type { Trace, TraceStep } from './answers.ts';
import { shownUpdate } from './shown-updates.ts';
import { type Known, LOOKED_AT, type Pending, type PendingEntry, type Wanted } from './trace-reads.ts';

const NONE = { at: null, amount: null, quarantine: null, operation: null } as const;

export function traceOf(
  { program, account, id }: Wanted,
  partition: number,
  pending: Pending,
  known: Known,
): Trace {
  const own = pending.found.find(({ what }) => what === 'entry');
  const state = stateOf(own, pending, known);
  return {
    ...{ program, account, id, partition, state },
    sentence: sentenceOf(state, own, pending, known),
    steps: [
      ...acceptedStep(own, known),
      ...quarantineSteps(known),
      ...known.items.map(operationStep),
      ...whereSteps(own, pending, known),
      ...transferSteps(known),
      ...holdSteps(pending, known),
    ],
  };
}

function stateOf(own: PendingEntry | undefined, pending: Pending, known: Known): Trace['state'] {
  // Redis keeps an entry until its batch is acknowledged, also once it is written.
  if (known.entry) return 'ledger';
  if (known.quarantine) return 'quarantine';
  if (own) return own.isClaimed ? 'in-flight' : 'pending';
  if (known.items.some(({ outcome }) => String(outcome) === 'dropped')) return 'dropped';
  const isHold = known.hold !== undefined || pending.isKnownHold;
  return isHold || pending.found.length > 0 ? 'hold' : 'unknown';
}

function sentenceOf(
  state: Trace['state'],
  own: PendingEntry | undefined,
  pending: Pending,
  { quarantine, items, hold }: Known,
): string {
  const cut = pending.isCut
    ? ` The account has more than ${LOOKED_AT} pending entries; only the newest of them were looked at.`
    : '';
  if (state === 'ledger') return 'It is in the ledger.';
  if (state === 'quarantine')
    return `It is in quarantine, since the database refused it with ${quarantine!.error_code}.`;
  if (state === 'in-flight') return `It is in flight in batch ${pending.sequence}: a worker is writing it.`;
  if (state === 'pending') return 'It is accepted and waits for its flush.';
  if (state === 'dropped') {
    const by = items.findLast(({ outcome }) => String(outcome) === 'dropped')!;
    return `It was in quarantine, and ${by.operator} dropped it with operation ${by.operation_id}.`;
  }
  if (state === 'hold')
    return hold ? `It is the id of a hold, which is ${hold.status}.` : `It is the id of a hold.${cut}`;
  if (own === undefined && pending.isKnown)
    return `Redis remembers that it accepted the id, but no server has the entry where it was looked for.${cut}`;
  return `No server knows the id${cut ? ' as far as was looked.' : ': it was never accepted, or Redis lost it.'}${cut}`;
}

function acceptedStep(own: PendingEntry | undefined, { entry }: Known): TraceStep[] {
  const at = own ? new Date(own.entry.acceptedAt).toISOString() : timeOf(entry?.created_at);
  if (at === null) return [];
  const amount = own ? String(own.entry.amount) : String(entry!.amount);
  return [{ ...NONE, what: 'accepted', at, text: 'Redis accepted it.', amount }];
}

function quarantineSteps({ quarantine, items }: Known): TraceStep[] {
  if (quarantine) {
    const { id, error_code: code, sequence, amount, operation } = quarantine;
    const taken = operation === null ? '' : ` Operation ${operation} has taken it.`;
    const text = `The database refused it with ${code} in batch ${sequence}.${taken}`;
    const at = timeOf(quarantine.created_at);
    return [{ ...NONE, what: 'quarantine', at, text, amount: String(amount), quarantine: Number(id) }];
  }
  const [first] = items;
  if (!first) return [];
  const { quarantinedAt: at = null, code, amount } = originalOf(first);
  const text = `The database refused it with ${code}.`;
  return [
    {
      ...NONE,
      what: 'quarantine',
      at,
      text,
      amount: amount ?? null,
      quarantine: Number(first.quarantine_id),
    },
  ];
}

function operationStep(item: Rows[number]): TraceStep {
  const { operation_id: operation, action, operator, operation_reason: reason, outcome } = item;
  const why = reason === null ? '' : ` Reason: ${reason}`;
  return {
    what: 'operation',
    at: timeOf(item.done_at),
    text: `Operation ${operation} (${action} by ${operator}): ${outcome}.${why}`,
    amount: originalOf(item).amount ?? null,
    quarantine: Number(item.quarantine_id),
    operation: Number(operation),
  };
}

/** The update as it was. An operator may have changed the record by hand. */
function originalOf(item: Rows[number]): { quarantinedAt?: string; code?: string; amount?: string } {
  try {
    const { quarantinedAt, code, amount } = shownUpdate(
      parseExact(String(item.original)) as FailedUpdate,
      false,
    );
    return { quarantinedAt, code, amount };
  } catch {
    return {};
  }
}

function whereSteps(own: PendingEntry | undefined, { sequence }: Pending, { entry }: Known): TraceStep[] {
  if (entry) {
    const batch = BigInt(entry.ledger_no) / 65536n;
    const text = `It is in the ledger, by batch ${batch}; the balance was ${entry.balance_after} then.`;
    return [{ ...NONE, what: 'ledger', at: timeOf(entry.committed_at), text, amount: String(entry.amount) }];
  }
  if (!own) return [];
  const amount = String(own.entry.amount);
  if (own.isClaimed)
    return [{ ...NONE, what: 'in-flight', text: `A worker has claimed it in batch ${sequence}.`, amount }];
  return [{ ...NONE, what: 'pending', text: 'It waits for the next batch of its partition.', amount }];
}

function transferSteps({ entry, transfer, partner }: Known): TraceStep[] {
  if (!entry || entry.transfer === null) return [];
  const name = String(entry.transfer);
  const isDebit = BigInt(entry.amount) < 0n;
  const other =
    entry.other_account === null ? 'an account that was erased' : shownKey(String(entry.other_account));
  const what = `${isDebit ? 'The debit' : 'The credit'} of transfer ${name} ${isDebit ? 'to' : 'from'} ${other}.`;
  const how = transfer
    ? transfer.state === 'aside'
      ? ` The credit is aside, since the database refused it with ${transfer.error_code}.`
      : ' The credit is in transit.'
    : partner
      ? ` ${isDebit ? `It is credited to ${shownKey(String(partner.account))}.` : 'Its debit is in the ledger.'}`
      : '';
  const at = timeOf(transfer?.created_at ?? partner?.created_at);
  return [
    {
      ...NONE,
      what: 'transfer',
      at,
      text: what + how,
      amount: String(transfer?.amount ?? partner?.amount ?? entry.amount),
    },
  ];
}

function holdSteps({ found }: Pending, { hold }: Known): TraceStep[] {
  const steps: TraceStep[] = [];
  if (hold) {
    const end = hold.status === 'open' ? 'It is open' : `It is ${hold.status}`;
    const posted = hold.status === 'posted' ? `, with ${hold.posted} points` : '';
    const until = hold.expires_at === null ? '' : ` Its time is over at ${timeOf(hold.expires_at)}.`;
    const text = `A hold of ${hold.amount} points has this id. ${end}${posted}.${hold.status === 'open' ? until : ''}`;
    steps.push({
      ...NONE,
      what: 'hold',
      at: timeOf(hold.ended_at ?? hold.created_at),
      text,
      amount: String(hold.amount),
    });
  }
  for (const { what, isClaimed, entry } of found) {
    if (what === 'entry') continue;
    const where = isClaimed ? 'in flight' : 'pending';
    const text =
      what === 'held'
        ? `The hold is accepted and ${where}.`
        : `The end of the hold is accepted and ${where}.`;
    const amount = String(Math.abs(entry.hold?.held ?? entry.amount));
    steps.push({ ...NONE, what: 'hold', at: new Date(entry.acceptedAt).toISOString(), text, amount });
  }
  return steps;
}

function timeOf(time: unknown): string | null {
  return time instanceof Date ? time.toISOString() : null;
}
