/** A button for a change that some roles may make; the others see why they may not. */
import type { Role } from '../../answers.ts';
import { whyNot } from '../session.ts';

interface Shown {
  /** The lowest role that may. */
  readonly needs: Role;
  readonly onAct: () => void;
  readonly children: string;
  readonly kind?: 'main' | 'danger' | '';
  readonly isOff?: boolean;
}

export function Action({ needs, onAct, children, kind = '', isOff = false }: Shown) {
  const reason = whyNot(needs);
  return (
    <button
      type="button"
      class={kind}
      disabled={isOff || reason !== null}
      title={reason ?? ''}
      onClick={onAct}
    >
      {children}
    </button>
  );
}

/** Said once beside buttons that are off, since a title cannot be read on a phone. */
export function WhyNot({ needs }: { needs: Role }) {
  const reason = whyNot(needs);
  return reason === null ? null : <span class="quiet">{reason}</span>;
}
