/** One key or account: its live value, the parts that it must be the sum of, and whether they add up. */
import { useSignal } from '@preact/signals';
import type { LookUp, ShownDefinitions } from '../../answers.ts';
import { address, query } from '../address.ts';
import { useAsked } from '../asked.ts';
import { Action, WhyNot } from '../parts/action.tsx';
import { Filters } from '../parts/filters.tsx';
import { LedgerList } from '../parts/ledger.tsx';
import { LookUpFacts, OpenHolds } from '../parts/look-up-facts.tsx';
import { ProblemNote } from '../parts/problem.tsx';
import { RepairDialog } from '../parts/repair.tsx';
import { Sum } from '../parts/sum.tsx';

export function LookUpView() {
  const definitions = useAsked<ShownDefinitions>('/api/definitions');
  const names = definitions.answer?.names ?? [];
  const search = query.value.get('search');
  const of = query.value.get('of') ?? '';
  const key = query.value.get('key') ?? '';
  return (
    <>
      <h1>Look up</h1>
      <Filters
        label="What to look up"
        button="Look up"
        resets={['search', 'before']}
        fields={[
          {
            name: 'of',
            label: 'Name',
            isRequired: true,
            options: [
              ['', ''],
              ...names.map(({ kind, name }) => [`${kind}:${name}`, `${kind} ${name}`] as const),
            ],
          },
          {
            name: 'key',
            label: 'Key or account',
            isExact: true,
            isRequired: true,
            placeholder: '/home, or ["eu",7] for several columns',
          },
        ]}
      />
      <ProblemNote problem={definitions.problem} />
      {/* Only with all its rows: one that came later would move those that the keyboard is about to open. */}
      {search !== null && !definitions.isLoading && <Found text={search} names={names} />}
      {of !== '' && key !== '' && <OneKey of={of} itsKey={key} />}
    </>
  );
}

/** Where a text from the search field may be found. No server is asked before somebody follows one. */
function Found({ text, names }: { text: string; names: ShownDefinitions['names'] }) {
  const [, prefix, rest] = /^([^:]+):(.+)$/s.exec(text) ?? [];
  const named = names.filter(({ name }) => name === prefix);
  const wanted = named.length > 0 ? named : names;
  const key = named.length > 0 ? rest! : text;
  return (
    <section aria-label="Where to look">
      <p>
        Where to look for <code>{key}</code>:
      </p>
      <ul class="found">
        {wanted.map(({ kind, name }) => (
          <li key={`${kind}:${name}`} data-row tabIndex={-1}>
            <a href={address('/look-up', { of: `${kind}:${name}`, key })}>
              {kind} {name}
            </a>
          </li>
        ))}
        <li data-row tabIndex={-1}>
          <a href={address('/quarantine', { key })}>quarantine</a>
        </li>
        <li data-row tabIndex={-1}>
          <a href={address('/trace', { id: key })}>trace, as the id of an update</a>
        </li>
      </ul>
    </section>
  );
}

function OneKey({ of, itsKey }: { of: string; itsKey: string }) {
  const [kind, name] = of.split(/:(.*)/s) as [string, string];
  const { answer, problem, isLoading, reload } = useAsked<LookUp>(
    address('/api/look-up', { kind, name, key: itsKey }),
    5000,
  );
  return (
    <>
      <ProblemNote problem={problem} retry={reload} />
      {isLoading && <p class="empty">Asking both servers…</p>}
      {answer && <Answer of={answer} reload={reload} />}
    </>
  );
}

function Answer({ of, reload }: { of: LookUp; reload: () => void }) {
  const isRepairing = useSignal(false);
  return (
    <>
      <h2 class="item">
        {of.kind} {of.name} <code>{of.shownKey}</code>
      </h2>
      <Sum of={of} />
      <p class="buttons">
        <Action
          needs="operator"
          isOff={of.live.state === 'cold'}
          onAct={() => {
            isRepairing.value = true;
          }}
        >
          Repair the live value
        </Action>
        <WhyNot needs="operator" />
      </p>
      <LookUpFacts of={of} />
      <OpenHolds of={of} />
      {of.kind === 'points' && <LedgerList name={of.name} account={of.key} />}
      {isRepairing.value && (
        <RepairDialog
          of={of}
          reload={reload}
          onClose={() => {
            isRepairing.value = false;
          }}
        />
      )}
    </>
  );
}
