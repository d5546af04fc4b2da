/** The comparison of everything: its last result, and the ways to start one. */
import { useSignal } from '@preact/signals';
import type { VerifyState } from '../../answers.ts';
import { address } from '../address.ts';
import { asProblem, type Problem, post } from '../api.ts';
import { useAsked } from '../asked.ts';
import { grouped, many, withHeld } from '../digits.ts';
import { Action, WhyNot } from '../parts/action.tsx';
import { Facts } from '../parts/facts.tsx';
import { Chip, type Level } from '../parts/mark.tsx';
import { ProblemNote } from '../parts/problem.tsx';
import { ReasonDialog } from '../parts/reason.tsx';
import { Table } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';

type Last = NonNullable<VerifyState['last']>;

export function VerifyView() {
  const { answer, problem, reload } = useAsked<VerifyState>('/api/verify', 2000);
  return (
    <>
      <h1>Verify</h1>
      <p class="quiet">
        Compares every live value with MySQL and what is on its way, and every balance with its ledger.
      </p>
      <ProblemNote problem={problem} retry={reload} />
      {answer && (
        <>
          <Controls state={answer} reload={reload} />
          {answer.running && (
            <p class="lead" role="status">
              <progress aria-label="Comparing" />{' '}
              {answer.running.repairs ? 'Comparing and repairing' : 'Comparing'} since{' '}
              <When at={answer.running.startedAt} />, started by {answer.running.by}.
            </p>
          )}
          {answer.last ? (
            <Result of={answer.last} />
          ) : (
            <p class="empty">This console has compared nothing yet.</p>
          )}
        </>
      )}
    </>
  );
}

function Controls({ state: { running }, reload }: { state: VerifyState; reload: () => void }) {
  const problem = useSignal<Problem | null>(null);
  const isRepairing = useSignal(false);
  const start = async () => {
    problem.value = null;
    try {
      await post('/api/verify');
    } catch (error) {
      problem.value = asProblem(error);
    }
    reload();
  };
  return (
    <>
      <p class="buttons">
        <Action needs="operator" kind="main" isOff={running !== null} onAct={start}>
          Compare now
        </Action>
        <Action
          needs="admin"
          isOff={running !== null}
          onAct={() => {
            isRepairing.value = true;
          }}
        >
          Compare and repair…
        </Action>
        <WhyNot needs="operator" />
      </p>
      <ProblemNote problem={problem.value} />
      {isRepairing.value && (
        <ReasonDialog
          title="Compare and repair"
          button="Start"
          onClose={() => {
            isRepairing.value = false;
          }}
          act={async reason => {
            await post('/api/verify/repair', { reason });
            reload();
          }}
        >
          <p>Each wrong live value becomes what MySQL has plus what is pending. MySQL is not changed.</p>
        </ReasonDialog>
      )}
    </>
  );
}

/** What came of it. A name that was not read may be wrong, so it is not all well. */
function judged(of: Last): readonly [level: Level, text: string] {
  const wrong = of.drift.length + of.ledger.length + of.unlisted + of.alsoWrong;
  if (of.error !== null) return ['warning', 'It did not come to its end'];
  if (wrong > 0) return ['bad', `${grouped(wrong)} did not add up`];
  if (of.unread > 0)
    return ['warning', `What was compared adds up; ${many(of.unread, 'name')} could not be read`];
  return ['well', 'Everything adds up'];
}

function Result({ of }: { of: Last }) {
  const [level, said] = judged(of);
  return (
    <>
      <p class="lead">
        <Chip level={level}>{said}</Chip> {many(of.checked, 'value')} compared
      </p>
      {of.error !== null && <p class="fault">{of.error}</p>}
      <Facts
        of={[
          ['Started', <When at={of.startedAt} />],
          ['Finished', <When at={of.finishedAt} />],
          ['By', of.by],
        ]}
      />
      {of.drift.length > 0 && <Drift rows={of.drift} />}
      {of.ledger.length > 0 && <LedgerDifferences rows={of.ledger} />}
      {of.unlisted > 0 && <p class="note">{grouped(of.unlisted)} more are not listed.</p>}
      {of.more.length > 0 && (
        <ul class="notes" aria-label="Also">
          {of.more.map(one => (
            <li key={one}>{one}</li>
          ))}
        </ul>
      )}
    </>
  );
}

function shown(value: string | null, held: string | undefined): string {
  return value === null ? '–' : withHeld(value, held);
}

function Drift({ rows }: { rows: Last['drift'] }) {
  return (
    <section>
      <h2>Live values that drifted</h2>
      <Table
        caption="Live values that drifted"
        rows={rows}
        rowKey={({ kind, name, key }) => `${kind}:${name}:${key}`}
        empty=""
        columns={[
          {
            head: 'Key',
            cell: ({ kind, name, key, shownKey }) => (
              <a href={address('/look-up', { of: `${kind}:${name}`, key })}>
                {kind} {name} <code class="cut">{shownKey}</code>
              </a>
            ),
          },
          { head: 'Live', cell: ({ live, held }) => shown(live, held?.live), isNumber: true },
          { head: 'Expected', cell: ({ expected, held }) => shown(expected, held?.expected), isNumber: true },
          { head: 'Repaired to', cell: ({ became, held }) => shown(became, held?.expected), isNumber: true },
        ]}
      />
    </section>
  );
}

function LedgerDifferences({ rows }: { rows: Last['ledger'] }) {
  return (
    <section>
      <h2>Balances that differ from their ledger</h2>
      <Table
        caption="Balances that differ from their ledger"
        rows={rows}
        rowKey={({ program, account }) => `${program}:${account}`}
        empty=""
        columns={[
          {
            head: 'Account',
            cell: ({ program, account }) => (
              <a href={address('/look-up', { of: `points:${program}`, key: account })}>
                {program} {account}
              </a>
            ),
          },
          { head: 'Balance', cell: ({ balance }) => grouped(balance), isNumber: true },
          { head: 'Sum of the ledger', cell: ({ sum }) => grouped(sum), isNumber: true },
        ]}
      />
    </section>
  );
}
