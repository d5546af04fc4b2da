/** One operation: how far it is, with stop and resume; afterwards its record. */
import { useSignal } from '@preact/signals';
import type { OperationDetail } from '../../answers.ts';
import { address, query } from '../address.ts';
import { asProblem, type Problem, post } from '../api.ts';
import { useAsked } from '../asked.ts';
import { grouped } from '../digits.ts';
import { Action } from '../parts/action.tsx';
import { Facts, JsonText } from '../parts/facts.tsx';
import { Items } from '../parts/items.tsx';
import { OperationState } from '../parts/operation-state.tsx';
import { Outcome } from '../parts/outcome.tsx';
import { Pager } from '../parts/pager.tsx';
import { ProblemNote } from '../parts/problem.tsx';
import { When } from '../parts/when.tsx';

export function OperationView({ operation }: { operation: number }) {
  const after = query.value.get('after');
  const asked = useAsked<OperationDetail>(address(`/api/operations/${operation}`, { after }), 1000);
  const { answer, problem, isLoading, reload } = asked;
  return (
    <>
      <h1>Operation {operation}</h1>
      <ProblemNote problem={problem} retry={reload} />
      {isLoading && <p class="empty">Asking MySQL…</p>}
      {answer && (
        <>
          <p class="lead" role="status">
            <OperationState of={answer} />
          </p>
          <Controls of={answer} reload={reload} />
          <Outcomes of={answer} />
          <Record of={answer} />
          <h2>Updates</h2>
          <Items items={answer.items} by="update" />
          <Pager name="after" next={answer.next} label="Pages of updates" />
        </>
      )}
    </>
  );
}

function Controls({ of: { operation, state }, reload }: { of: OperationDetail; reload: () => void }) {
  const problem = useSignal<Problem | null>(null);
  const isSending = useSignal(false);
  const act = (what: 'stop' | 'resume') => async () => {
    // The second click of two may come before the button is off.
    if (isSending.value) return;
    isSending.value = true;
    problem.value = null;
    try {
      await post(`/api/operations/${operation}/${what}`);
    } catch (error) {
      problem.value = asProblem(error);
    }
    isSending.value = false;
    reload();
  };
  return (
    <>
      {state !== 'finished' && (
        <p class="buttons">
          {state === 'running' ? (
            <Action needs="operator" kind="danger" isOff={isSending.value} onAct={act('stop')}>
              Stop
            </Action>
          ) : (
            <Action needs="operator" kind="main" isOff={isSending.value} onAct={act('resume')}>
              Resume
            </Action>
          )}
        </p>
      )}
      <ProblemNote problem={problem.value} />
    </>
  );
}

function Outcomes({ of: { outcomes } }: { of: OperationDetail }) {
  const all = Object.entries(outcomes);
  if (all.length === 0) return null;
  return (
    <ul class="outcomes" aria-label="Outcomes">
      {all.map(([outcome, count]) => (
        <li key={outcome}>
          <b class="number">{grouped(count)}</b> <Outcome of={outcome} />
        </li>
      ))}
    </ul>
  );
}

function Record({ of }: { of: OperationDetail }) {
  return (
    <Facts
      of={[
        ['Action', of.action],
        ['Operator', of.operator],
        ['From', of.address ?? 'a terminal'],
        ['Reason', of.reason],
        ['Updates a second at most', of.rate === null ? 'no limit' : String(of.rate)],
        ['Started', <When at={of.startedAt} />],
        ['Finished', of.finishedAt === null ? 'not yet' : <When at={of.finishedAt} />],
        ['Filter', <JsonText text={of.filter} />],
      ]}
    />
  );
}
