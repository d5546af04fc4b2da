/** Workers, services and consoles that are alive: what they run, and whether they agree. */
import type { Processes, Users } from '../../answers.ts';
import { useAsked } from '../asked.ts';
import { duration } from '../digits.ts';
import { DefinitionList } from '../parts/definitions.tsx';
import { Facts } from '../parts/facts.tsx';
import { Chip } from '../parts/mark.tsx';
import { ProblemNote } from '../parts/problem.tsx';
import { Table } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';
import { may } from '../session.ts';

type Process = Processes['processes'][number];

/** After this silence a process is probably gone. */
const SILENT_SECONDS = 15;

export function ProcessesView() {
  const { answer, problem, reload } = useAsked<Processes>('/api/processes', 3000);
  return (
    <>
      <h1>Processes</h1>
      <ProblemNote problem={problem} retry={reload} />
      {answer && (
        <>
          <Disagreements of={answer.disagreements} />
          <ProcessList of={answer} />
        </>
      )}
      <DefinitionList />
      {may('admin') && <UserList />}
    </>
  );
}

function Disagreements({ of }: { of: Processes['disagreements'] }) {
  if (of.length === 0)
    return (
      <p class="lead">
        <Chip level="well">all agree</Chip> on settings and definitions
      </p>
    );
  return (
    <section>
      <h2>
        <Chip level="warning">they do not agree</Chip>
      </h2>
      {of.map(({ what, values }) => (
        <div key={what}>
          <h3>
            <code>{what}</code>
          </h3>
          <Facts
            of={Object.entries(values).map(([value, processes]) => [
              value || 'not set',
              processes.join(', '),
            ])}
          />
        </div>
      ))}
    </section>
  );
}

function ProcessList({ of: { processes, definitions } }: { of: Processes }) {
  return (
    <Table
      caption="Processes"
      rows={processes}
      rowKey={({ id }) => id}
      empty="No process has reported. A worker reports when it starts."
      columns={[
        { head: 'Role', cell: ({ role }) => role },
        { head: 'Host and process', cell: ({ host, pid }) => `${host} ${pid}` },
        { head: 'Version', cell: ({ version }) => version },
        { head: 'Started', cell: ({ startedAt }) => <When at={startedAt} /> },
        { head: 'Heard of', cell: process => <HeardOf of={process} /> },
        {
          head: 'Breaker',
          cell: ({ breaker }) =>
            breaker && <Chip level={breaker === 'open' ? 'bad' : 'well'}>{breaker}</Chip>,
        },
        {
          head: 'Definitions',
          cell: process => (
            <>
              <code>{process.definitions.slice(0, 8)}</code>
              {process.definitions !== definitions && ' other than here'}
            </>
          ),
        },
        {
          head: 'Settings',
          cell: ({ settings }) => (
            <details>
              <summary>all</summary>
              <Facts of={Object.entries(settings)} />
            </details>
          ),
        },
      ]}
    />
  );
}

function HeardOf({ of: { silentSeconds } }: { of: Process }) {
  const text = `${duration(silentSeconds)} ago`;
  return silentSeconds > SILENT_SECONDS ? <Chip level="warning">{text}</Chip> : <span>{text}</span>;
}

function UserList() {
  const { answer, problem, reload } = useAsked<Users>('/api/users');
  return (
    <section>
      <h2>Users</h2>
      <p class="quiet">
        They are made by <code>sluice users add</code>.
      </p>
      <ProblemNote problem={problem} retry={reload} />
      {answer && (
        <Table
          caption="Users"
          rows={answer.users}
          rowKey={({ name }) => name}
          empty="There are none."
          columns={[
            { head: 'Name', cell: ({ name }) => name },
            { head: 'Role', cell: ({ role }) => role },
            { head: 'Since', cell: ({ createdAt }) => <When at={createdAt} /> },
            { head: 'Last login', cell: ({ lastLoginAt }) => <When at={lastLoginAt} /> },
          ]}
        />
      )}
    </section>
  );
}
