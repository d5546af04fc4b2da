/** A list of updates in quarantine, and all parts of one. */
import type { ShownFailedUpdate } from '../../answers.ts';
import { address } from '../address.ts';
import { grouped, signed } from '../digits.ts';
import { Facts, JsonText } from './facts.tsx';
import { Table } from './table.tsx';
import { When } from './when.tsx';

interface Listed {
  readonly updates: readonly ShownFailedUpdate[];
  /** What is said if there are none. */
  readonly empty: string;
}

export function QuarantinedList({ updates, empty }: Listed) {
  return (
    <Table
      caption="Updates in quarantine"
      rows={updates}
      rowKey={({ id }) => id}
      empty={empty}
      columns={[
        { head: 'Number', cell: ({ id }) => <a href={`/quarantine/${id}`}>{id}</a>, isNumber: true },
        { head: 'Name', cell: ({ kind, name }) => `${kind} ${name}` },
        { head: 'Key or account', cell: ({ key }) => <code class="cut">{key}</code> },
        { head: 'Amount', cell: update => amountOf(update), isNumber: true },
        { head: 'Error', cell: ({ code }) => <code>{code}</code> },
        { head: 'Since', cell: ({ quarantinedAt }) => <When at={quarantinedAt} /> },
        {
          head: 'Taken by',
          cell: ({ takenBy }) =>
            takenBy !== null && <a href={`/operations/${takenBy}`}>operation {takenBy}</a>,
        },
      ]}
    />
  );
}

/** The number of a value is no change, so it has no plus. */
function amountOf({ kind, amount }: ShownFailedUpdate): string {
  return kind === 'counter' || kind === 'entry' ? signed(amount) : grouped(amount);
}

export function UpdateFacts({ of }: { of: ShownFailedUpdate }) {
  const lookUp = { counter: 'counter', entry: 'points', max: 'value', min: 'value', last: 'value' }[of.kind];
  return (
    <Facts
      of={[
        ['Name', `${of.kind} ${of.name}`],
        [
          'Key or account',
          <a href={address('/look-up', { of: `${lookUp}:${of.name}`, key: of.key })}>{of.key}</a>,
        ],
        ['Amount', `${amountOf(of)}${of.updates > 1 ? ` of ${grouped(of.updates)} updates` : ''}`],
        ['Error', <code>{of.code}</code>],
        ['Cause', of.cause],
        ['In quarantine since', <When at={of.quarantinedAt} />],
        ['Batch', `partition ${of.partition}, sequence ${grouped(of.sequence)}`],
        ...optional(of),
        ['Metadata', <JsonText text={of.metadata} />],
      ]}
    />
  );
}

/** Parts that only some updates have. */
function optional(of: ShownFailedUpdate): (readonly [string, preact.ComponentChildren])[] {
  const { name, key } = of;
  return [
    ...(of.entryId === null
      ? []
      : [['Id', <a href={address('/trace', { name, key, id: of.entryId })}>{of.entryId}</a>] as const]),
    ...(of.reason === null ? [] : [['Reason', of.reason] as const]),
    ...(of.to === null ? [] : [['Transfer to', of.to] as const]),
    ...(of.hold === null ? [] : [['Of the hold', of.hold] as const]),
    ...(of.version === null ? [] : [['Version', grouped(of.version)] as const]),
    ...(of.takenBy === null
      ? []
      : [['Taken by', <a href={`/operations/${of.takenBy}`}>operation {of.takenBy}</a>] as const]),
  ];
}
