/** Sets a wrong live value right. */
import { useSignal } from '@preact/signals';
import type { LookUp, Repaired } from '../../answers.ts';
import { post } from '../api.ts';
import { withHeld } from '../digits.ts';
import { Dialog } from './dialog.tsx';
import { ReasonDialog } from './reason.tsx';

export function RepairDialog({
  of,
  onClose,
  reload,
}: {
  of: LookUp;
  onClose: () => void;
  reload: () => void;
}) {
  const done = useSignal<Repaired | null>(null);
  const { kind, name, key, shownKey } = of;
  if (done.value) return <Done of={done.value} onClose={onClose} />;
  return (
    <ReasonDialog
      title="Repair the live value"
      button="Repair it"
      onClose={() => {
        if (!done.value) onClose();
      }}
      act={async reason => {
        done.value = await post<Repaired>('/api/look-up/repair', { kind, name, key, reason });
        reload();
      }}
    >
      <p>
        If the live value of {kind} {name} <code>{shownKey}</code> is wrong, it becomes what MySQL has plus
        what is pending. MySQL is not changed.
      </p>
    </ReasonDialog>
  );
}

function Done({ of: { operation, was, became, held }, onClose }: { of: Repaired; onClose: () => void }) {
  const before = was === null && became !== null ? 'no number' : shown(was, held?.was);
  return (
    <Dialog title="Repaired" onClose={onClose}>
      <p role="status">
        It was {before} and is {shown(became, held?.became)} now.{' '}
        <a href={`/operations/${operation}`}>Operation {operation}</a>
      </p>
    </Dialog>
  );
}

function shown(value: string | null, held: string | undefined): string {
  return value === null ? 'cold' : withHeld(value, held);
}
