/** What operations did to updates: each with its outcome and how the update was before. */
import type { QuarantinedUpdate } from '../../answers.ts';
import { grouped } from '../digits.ts';
import { Outcome } from './outcome.tsx';
import { UpdateFacts } from './quarantined.tsx';
import { Table } from './table.tsx';
import { When } from './when.tsx';

interface Shown {
  readonly items: QuarantinedUpdate['items'];
  /** What names a row: its operation if all are of one update, its update if all are of one operation. */
  readonly by: 'operation' | 'update';
}

export function Items({ items, by }: Shown) {
  const first =
    by === 'operation'
      ? {
          head: 'Operation',
          cell: ({ operation, action, operator }: QuarantinedUpdate['items'][number]) => (
            <>
              <a href={`/operations/${operation}`}>{operation}</a> {action} by {operator}
            </>
          ),
        }
      : {
          head: 'Update',
          cell: ({ original: { id, kind, name, key } }: QuarantinedUpdate['items'][number]) => (
            <>
              <a href={`/quarantine/${id}`}>{id}</a> {kind} {name} <code class="cut">{key}</code>
            </>
          ),
        };
  return (
    <Table
      caption="What was done"
      rows={items}
      rowKey={({ operation, original, outcome }) => `${operation} ${original.id} ${outcome}`}
      empty={by === 'operation' ? 'No operation has touched it.' : 'No update is recorded yet.'}
      columns={[
        first,
        { head: 'Outcome', cell: ({ outcome }) => <Outcome of={outcome} /> },
        { head: 'When', cell: ({ doneAt }) => <When at={doneAt} /> },
        { head: 'Amount before', cell: ({ original }) => grouped(original.amount), isNumber: true },
        ...(by === 'operation'
          ? [{ head: 'Reason', cell: ({ reason }: QuarantinedUpdate['items'][number]) => reason }]
          : []),
        {
          head: 'Before',
          cell: ({ original }) => (
            <details>
              <summary>all of it</summary>
              <UpdateFacts of={original} />
            </details>
          ),
        },
      ]}
    />
  );
}
