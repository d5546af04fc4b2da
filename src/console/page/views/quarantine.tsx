/** Updates that MySQL refused or that are held: in groups, then one by one, with what can be done about them. */
import { useSignal } from '@preact/signals';
import type { Filter, QuarantineGroup, QuarantineGroups, QuarantinePage } from '../../answers.ts';
import { address, query, queryOf } from '../address.ts';
import { useAsked } from '../asked.ts';
import { counted } from '../digits.ts';
import { Action, WhyNot } from '../parts/action.tsx';
import { type Field, Filters } from '../parts/filters.tsx';
import { Pager } from '../parts/pager.tsx';
import { ProblemNote } from '../parts/problem.tsx';
import { QuarantinedList } from '../parts/quarantined.tsx';
import { RunDialog, type Wanted } from '../parts/run.tsx';
import { Table } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';

const FIELDS: readonly Field[] = [
  {
    name: 'kind',
    label: 'Kind',
    options: ['', 'counter', 'entry', 'max', 'min', 'last'].map(kind => [kind, kind || 'any'] as const),
  },
  { name: 'name', label: 'Name' },
  { name: 'key', label: 'Key or account', isExact: true },
  { name: 'keyPrefix', label: 'It begins with', isExact: true },
  { name: 'code', label: 'Error code', placeholder: 'ER_DATA_TOO_LONG' },
  { name: 'from', label: 'From', placeholder: '2026-03-01T12:00:00Z' },
  { name: 'until', label: 'Until', placeholder: '2026-03-02T00:00:00Z' },
  { name: 'partition', label: 'Partition' },
  { name: 'sequence', label: 'Sequence' },
];
const NAMES = FIELDS.map(({ name }) => name);

export function QuarantineView() {
  const filter = queryOf(NAMES);
  const groups = useAsked<QuarantineGroups>(address('/api/quarantine/groups', filter), 5000);
  const after = query.value.get('after');
  const page = useAsked<QuarantinePage>(address('/api/quarantine', { ...filter, after }), 5000);
  return (
    <>
      <h1>Quarantine</h1>
      <Filters label="Filter" button="Filter" fields={FIELDS} resets={['after']}>
        {Object.keys(filter).length > 0 && <a href="/quarantine">Show all</a>}
      </Filters>
      <ProblemNote problem={groups.problem ?? page.problem} retry={groups.reload} />
      {groups.answer && <Groups of={groups.answer} />}
      {page.answer && (
        <>
          <Actions filter={filterOf(filter)} page={page.answer} />
          <QuarantinedList updates={page.answer.updates} empty={emptyOf(page.answer)} />
          <Pager name="after" next={page.answer.next} label="Pages of updates" />
        </>
      )}
    </>
  );
}

/** Numbers of the filter are numbers in a request. */
function filterOf(texts: Readonly<Record<string, string>>): Filter {
  const numbers = ['partition', 'sequence'].flatMap(name =>
    texts[name] ? [[name, Number(texts[name])]] : [],
  );
  return { ...texts, ...Object.fromEntries(numbers) };
}

/** A page without updates has a next one if the time was over before one was found. */
function emptyOf({ next }: QuarantinePage): string {
  return next === null ? '' : `Nothing was found here up to number ${next}. The next page looks further.`;
}

function Groups({ of: { groups, total } }: { of: QuarantineGroups }) {
  return (
    <Table
      caption="Groups"
      rows={groups}
      rowKey={({ kind, name, code, cause }) => [kind, name, code, cause].join('\n')}
      empty={
        total.atLeast
          ? 'None was found in time; some may match all the same.'
          : 'Nothing is in quarantine that matches.'
      }
      columns={[
        { head: 'Error', cell: group => <GroupLink of={group} /> },
        { head: 'Name', cell: ({ kind, name }) => `${kind} ${name}` },
        { head: 'Updates', cell: ({ updates }) => counted(updates), isNumber: true },
        {
          head: 'Cause',
          cell: ({ cause }) => (cause === 'held' ? 'held: written when its table works' : 'refused'),
        },
        { head: 'Oldest', cell: ({ oldestAt }) => <When at={oldestAt} /> },
        { head: 'Newest', cell: ({ newestAt }) => <When at={newestAt} /> },
      ]}
    />
  );
}

function GroupLink({ of: { kind, name, code } }: { of: QuarantineGroup }) {
  return (
    <a href={address('/quarantine', { ...queryOf(NAMES), kind, name, code })}>
      <code>{code}</code>
    </a>
  );
}

/** What is done to all that match, not only to those on this page. */
function Actions({ filter, page: { total } }: { filter: Filter; page: QuarantinePage }) {
  const wanted = useSignal<Wanted | null>(null);
  const ask = (action: Wanted['action']) => () => {
    wanted.value = { action, filter };
  };
  const isNone = total.count === 0 && !total.atLeast;
  // An open window stays: it has counted for itself.
  if (isNone && wanted.value === null) return null;
  return (
    <section class="acts" aria-label="All that match">
      <h2>{total.count === 0 && total.atLeast ? 'Not counted in time' : `${counted(total)} match`}</h2>
      <span class="buttons">
        <Action needs="operator" kind="main" onAct={ask('replay')}>
          Replay all…
        </Action>
        <Action needs="operator" onAct={ask('edit')}>
          Edit all…
        </Action>
        <Action needs="operator" kind="danger" onAct={ask('drop')}>
          Drop all…
        </Action>
        <WhyNot needs="operator" />
      </span>
      {wanted.value && (
        <RunDialog
          wanted={wanted.value}
          onClose={() => {
            wanted.value = null;
          }}
        />
      )}
    </section>
  );
}
