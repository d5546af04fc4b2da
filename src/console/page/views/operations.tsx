/** The audit: who changed what, when, from where, and what came of it. */
import type { OperationsPage, ShownOperation } from '../../answers.ts';
import { address, query, queryOf } from '../address.ts';
import { useAsked } from '../asked.ts';
import { grouped } from '../digits.ts';
import { Filters } from '../parts/filters.tsx';
import { OperationState } from '../parts/operation-state.tsx';
import { Pager } from '../parts/pager.tsx';
import { ProblemNote } from '../parts/problem.tsx';
import { Table } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';

const ACTIONS = ['', 'replay', 'edit', 'drop', 'repair', 'recover', 'retry', 'return', 'void'];

export function OperationsView() {
  const filter = queryOf(['operator', 'action']);
  const before = query.value.get('before');
  const { answer, problem, reload } = useAsked<OperationsPage>(
    address('/api/operations', { ...filter, before }),
    3000,
  );
  return (
    <>
      <h1>Operations</h1>
      <Filters
        label="Filter"
        button="Filter"
        resets={['before']}
        fields={[
          { name: 'operator', label: 'Operator' },
          {
            name: 'action',
            label: 'Action',
            options: ACTIONS.map(action => [action, action || 'any'] as const),
          },
        ]}
      >
        <a href={address('/api/operations.ndjson', filter)} download="operations.ndjson">
          Export as NDJSON
        </a>
      </Filters>
      <ProblemNote problem={problem} retry={reload} />
      {answer && (
        <>
          <OperationList operations={answer.operations} />
          <Pager name="before" next={answer.next} label="Pages of operations" />
        </>
      )}
    </>
  );
}

function OperationList({ operations }: { operations: readonly ShownOperation[] }) {
  return (
    <Table
      caption="Operations"
      rows={operations}
      rowKey={({ operation }) => operation}
      empty="No operation matches."
      columns={[
        {
          head: 'Number',
          cell: ({ operation }) => <a href={`/operations/${operation}`}>{operation}</a>,
          isNumber: true,
        },
        { head: 'Action', cell: ({ action }) => action },
        { head: 'Operator', cell: ({ operator }) => operator },
        { head: 'From', cell: ({ address }) => address ?? <span class="quiet">a terminal</span> },
        { head: 'Reason', cell: ({ reason }) => reason },
        { head: 'Started', cell: ({ startedAt }) => <When at={startedAt} /> },
        { head: 'State', cell: operation => <OperationState of={operation} /> },
        { head: 'Outcomes', cell: ({ outcomes }) => outcomesText(outcomes) },
      ]}
    />
  );
}

function outcomesText(outcomes: Readonly<Record<string, number>>): string {
  return Object.entries(outcomes)
    .map(([outcome, count]) => `${grouped(count)} ${outcome}`)
    .join(', ');
}
