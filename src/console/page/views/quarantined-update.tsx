/** One update that is or was in quarantine, with its whole history. */
import { useSignal } from '@preact/signals';
import type { QuarantinedUpdate } from '../../answers.ts';
import { useAsked } from '../asked.ts';
import { Action, WhyNot } from '../parts/action.tsx';
import { Items } from '../parts/items.tsx';
import { Chip } from '../parts/mark.tsx';
import { ProblemNote } from '../parts/problem.tsx';
import { UpdateFacts } from '../parts/quarantined.tsx';
import { RunDialog, type Wanted } from '../parts/run.tsx';

export function QuarantinedUpdateView({ id }: { id: number }) {
  const { answer, problem, isLoading, reload } = useAsked<QuarantinedUpdate>(`/api/quarantine/${id}`, 5000);
  return (
    <>
      <h1>Update {id} in quarantine</h1>
      <ProblemNote problem={problem} retry={reload} />
      {isLoading && <p class="empty">Asking MySQL…</p>}
      {answer && <Answer of={answer} />}
    </>
  );
}

function Answer({ of: { id, update, items } }: { of: QuarantinedUpdate }) {
  return (
    <>
      {update ? (
        <>
          <Actions id={id} />
          <UpdateFacts of={update} />
        </>
      ) : (
        <p class="lead">
          <Chip level="well">no longer in quarantine</Chip>
        </p>
      )}
      <h2>What was done about it</h2>
      <Items items={items} by="operation" />
    </>
  );
}

function Actions({ id }: { id: number }) {
  const wanted = useSignal<Wanted | null>(null);
  const ask = (action: Wanted['action']) => () => {
    wanted.value = { action, filter: { ids: [id] } };
  };
  return (
    <p class="buttons">
      <Action needs="operator" kind="main" onAct={ask('replay')}>
        Replay…
      </Action>
      <Action needs="operator" onAct={ask('edit')}>
        Edit…
      </Action>
      <Action needs="operator" kind="danger" onAct={ask('drop')}>
        Drop…
      </Action>
      <WhyNot needs="operator" />
      {wanted.value && (
        <RunDialog
          wanted={wanted.value}
          onClose={() => {
            wanted.value = null;
          }}
        />
      )}
    </p>
  );
}
