/** The console's own definitions: which names there are, and where MySQL keeps them. */
import type { ShownDefinitions } from '../../answers.ts';
import { useAsked } from '../asked.ts';
import { grouped } from '../digits.ts';
import { JsonText } from './facts.tsx';
import { ProblemNote } from './problem.tsx';
import { Table } from './table.tsx';

export function DefinitionList() {
  const { answer, problem, reload } = useAsked<ShownDefinitions>('/api/definitions');
  return (
    <section>
      <h2>Definitions</h2>
      <ProblemNote problem={problem} retry={reload} />
      {answer && (
        <>
          <Table
            caption="Definitions"
            rows={answer.names}
            rowKey={({ kind, name }) => `${kind} ${name}`}
            empty="Nothing is defined."
            columns={[
              { head: 'Kind', cell: ({ kind }) => kind },
              { head: 'Name', cell: ({ name }) => name },
              {
                head: 'Kept in',
                cell: ({ target }) => (target === null ? 'a table of Sluice' : <code>{target}</code>),
              },
              { head: 'Ranked', cell: ({ ranked }) => (ranked ? 'yes' : 'no') },
              { head: 'Floor', cell: ({ floor }) => (floor === null ? '–' : grouped(floor)), isNumber: true },
              { head: 'Keeps', cell: ({ keep }) => keep ?? '–' },
            ]}
          />
          <details>
            <summary>The whole file</summary>
            <JsonText text={answer.text} />
          </details>
        </>
      )}
    </section>
  );
}
