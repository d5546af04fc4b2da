/** The dry run: what would become of each update, counted by outcome. */
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import type { Selection, ShownPlan } from '../../answers.ts';
import { asProblem, type Problem, post } from '../api.ts';
import { grouped } from '../digits.ts';
import { Outcome } from './outcome.tsx';
import { ProblemNote } from './problem.tsx';
import { Table } from './table.tsx';

interface Shown {
  readonly selection: Selection;
  /** What follows once the plan is known. */
  readonly children: (plan: ShownPlan) => ComponentChildren;
}

export function Plan({ selection, children }: Shown) {
  const plan = useSignal<ShownPlan | null>(null);
  const problem = useSignal<Problem | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    post<ShownPlan>('/api/quarantine/plan', selection, abort.signal).then(
      made => {
        plan.value = made;
      },
      error => {
        if (!abort.signal.aborted) problem.value = asProblem(error);
      },
    );
    return () => abort.abort();
  }, [JSON.stringify(selection)]);
  if (problem.value) return <ProblemNote problem={problem.value} />;
  if (plan.value === null)
    return (
      <p class="empty" role="status">
        Trying it against the database, without changing anything…
      </p>
    );
  const { groups, partial, tried, updates } = plan.value;
  return (
    <>
      {groups.length > 0 && <Groups groups={groups} />}
      {partial && updates > 0 && (
        <p class="note">
          {grouped(tried)} of {grouped(updates)} were tried within the time limit; the others are not counted
          by outcome.
        </p>
      )}
      {children(plan.value)}
    </>
  );
}

function Groups({ groups }: Pick<ShownPlan, 'groups'>) {
  return (
    <Table
      caption="What would happen"
      rows={groups}
      rowKey={({ kind, name, code, outcome }) => [kind, name, code, outcome].join('\n')}
      empty=""
      columns={[
        { head: 'Outcome', cell: ({ outcome }) => <Outcome of={outcome} wouldBe /> },
        { head: 'Updates', cell: ({ updates }) => grouped(updates), isNumber: true },
        { head: 'Name', cell: ({ kind, name }) => `${kind} ${name}` },
        { head: 'Now refused with', cell: ({ code }) => <code>{code}</code> },
      ]}
    />
  );
}
