/** A window that asks why, then makes a change. */
import { useSignal } from '@preact/signals';
import type { ComponentChildren, TargetedSubmitEvent } from 'preact';
import { asProblem, type Problem } from '../api.ts';
import { Dialog } from './dialog.tsx';
import { ProblemNote } from './problem.tsx';

interface Shown {
  readonly title: string;
  readonly button: string;
  readonly children: ComponentChildren;
  readonly onClose: () => void;
  /** @throws Problem */
  readonly act: (reason: string) => Promise<void>;
}

export function ReasonDialog({ title, button, children, onClose, act }: Shown) {
  const problem = useSignal<Problem | null>(null);
  const isSending = useSignal(false);
  const send = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const reason = String(new FormData(event.currentTarget).get('reason')).trim();
    isSending.value = true;
    try {
      await act(reason);
      onClose();
    } catch (error) {
      problem.value = asProblem(error);
    }
    isSending.value = false;
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form class="confirm" onSubmit={send}>
        {children}
        <label class="field wide">
          <span>Reason, for the audit record</span>
          <input name="reason" required maxLength={255} autocomplete="off" />
        </label>
        <ProblemNote problem={problem.value} />
        <p class="buttons">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="main" disabled={isSending.value}>
            {button}
          </button>
        </p>
      </form>
    </Dialog>
  );
}
