/**
 * The window before a change of failed updates: what would happen (tried against the database and rolled back), why
 * it is done, how fast, and above 100 the number typed. The run itself is shown at its own address.
 */
import { useSignal } from '@preact/signals';
import type { TargetedSubmitEvent } from 'preact';
import type { EditChange, Filter, RunRequest, Selection, ShownOperation, ShownPlan } from '../../answers.ts';
import { go } from '../address.ts';
import { asProblem, type Problem, post } from '../api.ts';
import { grouped, many } from '../digits.ts';
import { ChangeForm } from './change.tsx';
import { Dialog } from './dialog.tsx';
import { Plan } from './plan.tsx';
import { ProblemNote } from './problem.tsx';

/** From this number on a click is too easy. */
const TYPED_ABOVE = 100;

export interface Wanted {
  readonly action: Selection['action'];
  /** Without one, everything. */
  readonly filter: Filter;
}

const TITLES = { replay: 'Replay', edit: 'Edit', drop: 'Drop' } as const;

function selectionOf({ action, filter }: Wanted, change?: EditChange): Selection {
  const selected = Object.keys(filter).length > 0 ? { filter } : { all: true };
  return { action, ...selected, ...(change && { change }) };
}

export function RunDialog({ wanted, onClose }: { wanted: Wanted; onClose: () => void }) {
  const change = useSignal<EditChange | undefined>(undefined);
  const needsChange = wanted.action === 'edit' && change.value === undefined;
  return (
    <Dialog title={`${TITLES[wanted.action]}: what would happen`} onClose={onClose}>
      {needsChange ? (
        <ChangeForm
          onChange={made => {
            change.value = made;
          }}
        />
      ) : (
        <Plan selection={selectionOf(wanted, change.value)}>
          {plan => <Confirm plan={plan} selection={selectionOf(wanted, change.value)} onClose={onClose} />}
        </Plan>
      )}
    </Dialog>
  );
}

interface Confirming {
  readonly plan: ShownPlan;
  readonly selection: Selection;
  readonly onClose: () => void;
}

function Confirm({ plan, selection, onClose }: Confirming) {
  const problem = useSignal<Problem | null>(null);
  const isSending = useSignal(false);
  const count = plan.updates + plan.jobs;
  const send = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const request = requestOf(selection, new FormData(event.currentTarget), plan);
    isSending.value = true;
    try {
      const { operation } = await post<Pick<ShownOperation, 'operation'>>('/api/quarantine/run', request);
      onClose();
      go(`/operations/${operation}`);
    } catch (error) {
      problem.value = asProblem(error);
    }
    isSending.value = false;
  };
  if (count === 0)
    return (
      <p class="empty">
        {plan.partial
          ? 'None was found within the time limit; narrow the filter.'
          : 'Nothing matches, so there is nothing to do.'}
      </p>
    );
  return (
    <form class="confirm" onSubmit={send}>
      <label class="field wide">
        <span>Reason, for the audit record</span>
        <input name="reason" required maxLength={255} autocomplete="off" />
      </label>
      <label class="field">
        <span>Updates a second at most (empty: no limit)</span>
        <input name="rate" inputMode="decimal" pattern="[0-9]*[.]?[0-9]+" autocomplete="off" />
      </label>
      {count > TYPED_ABOVE && (
        <label class="field">
          <span>
            Type <b>{grouped(count)}</b> to confirm
          </span>
          <input
            name="typed"
            required
            pattern={typedPattern(count)}
            autocomplete="off"
            title={`the number ${count}`}
          />
        </label>
      )}
      <ProblemNote problem={problem.value} />
      <p class="buttons">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button
          type="submit"
          class={selection.action === 'drop' ? 'danger' : 'main'}
          disabled={isSending.value}
        >
          {TITLES[selection.action]} {amountText(plan)}
        </button>
      </p>
    </form>
  );
}

/** With or without separators. */
function typedPattern(count: number): string {
  return grouped(count).replaceAll(',', '[,. ]?');
}

function amountText({ updates, jobs }: ShownPlan): string {
  return [...(updates > 0 ? [many(updates, 'update')] : []), ...(jobs > 0 ? [many(jobs, 'job')] : [])].join(
    ' and ',
  );
}

function requestOf(selection: Selection, data: FormData, { updates, jobs, counted }: ShownPlan): RunRequest {
  const rate = String(data.get('rate') ?? '').trim();
  return {
    ...selection,
    reason: String(data.get('reason')).trim(),
    counted,
    expected: updates + jobs,
    ...(rate !== '' && { rate: Number(rate) }),
  };
}
