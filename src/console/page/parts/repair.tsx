/** Sets a wrong live value right. */
import { useSignal } from '@preact/signals';
import type { LookUp, Repaired } from '../../answers.ts';
import { post } from '../api.ts';
import { grouped } from '../digits.ts';
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

function Done({ of: { operation, was, became }, onClose }: { of: Repaired; onClose: () => void }) {
  const shown = (value: string | null) => (value === null ? 'cold' : grouped(value));
  return (
    <Dialog title="Repaired" onClose={onClose}>
      <p role="status">
        It was {shown(was)} and is {shown(became)} now.{' '}
        <a href={`/operations/${operation}`}>Operation {operation}</a>
      </p>
    </Dialog>
  );
}
