/** One update by its id: what became of it, step by step. */
import type { ShownDefinitions, Trace, TraceStep } from '../../answers.ts';
import { address, query } from '../address.ts';
import { useAsked } from '../asked.ts';
import { signed } from '../digits.ts';
import { Filters } from '../parts/filters.tsx';
import { Chip, type Level } from '../parts/mark.tsx';
import { ProblemNote } from '../parts/problem.tsx';
import { When } from '../parts/when.tsx';

const LEVELS: Readonly<Record<Trace['state'], Level>> = {
  pending: 'well',
  'in-flight': 'well',
  ledger: 'well',
  hold: 'well',
  dropped: 'warning',
  quarantine: 'bad',
  unknown: 'unknown',
};

export function TraceView() {
  const definitions = useAsked<ShownDefinitions>('/api/definitions');
  const programs = (definitions.answer?.names ?? []).filter(({ kind }) => kind === 'points');
  const [name, key, id] = ['name', 'key', 'id'].map(part => query.value.get(part) ?? '');
  return (
    <>
      <h1>Trace</h1>
      <Filters
        label="Which update"
        button="Trace"
        fields={[
          {
            name: 'name',
            label: 'Program',
            isRequired: true,
            options: [['', ''], ...programs.map(program => [program.name, program.name] as const)],
          },
          { name: 'key', label: 'Account', isRequired: true, isExact: true },
          { name: 'id', label: 'Id', isRequired: true, isExact: true, placeholder: 'as the caller named it' },
        ]}
      />
      <ProblemNote problem={definitions.problem} />
      {name && key && id && <OneUpdate name={name} account={key} id={id} />}
    </>
  );
}

function OneUpdate({ name, account, id }: { name: string; account: string; id: string }) {
  const { answer, problem, isLoading, reload } = useAsked<Trace>(
    address('/api/trace', { name, key: account, id }),
    5000,
  );
  return (
    <>
      <ProblemNote problem={problem} retry={reload} />
      {isLoading && <p class="empty">Asking both servers…</p>}
      {answer && (
        <>
          <h2 class="item">
            <Chip level={LEVELS[answer.state]}>{answer.state.replace('-', ' ')}</Chip>{' '}
            <code>{answer.id}</code>
          </h2>
          <p class="lead">{answer.sentence}</p>
          <ol class="steps">
            {answer.steps.map((step, at) => (
              <Step key={at} of={step} />
            ))}
          </ol>
          <p>
            <a href={address('/look-up', { of: `points:${answer.program}`, key: answer.account })}>
              Account {answer.account}
            </a>{' '}
            <span class="quiet">in partition {answer.partition}</span>
          </p>
        </>
      )}
    </>
  );
}

function Step({ of: { what, at, text, amount, quarantine, operation } }: { of: TraceStep }) {
  return (
    <li data-row tabIndex={-1}>
      <b>{what.replace('-', ' ')}</b> {at !== null && <When at={at} />}
      <p>
        {text} {amount !== null && <span class="number">{signed(amount)}</span>}{' '}
        {quarantine !== null && <a href={`/quarantine/${quarantine}`}>In quarantine: {quarantine}</a>}
        {operation !== null && <a href={`/operations/${operation}`}>Operation {operation}</a>}
      </p>
    </li>
  );
}
