/** Whether an operation runs, and how far it is. */
import type { ShownOperation } from '../../answers.ts';
import { grouped } from '../digits.ts';
import { Chip } from './mark.tsx';

const LEVELS = { interrupted: 'warning', finished: 'well' } as const;

export function OperationState({ of: { state, progress } }: { of: ShownOperation }) {
  return (
    <>
      {state === 'running' ? (
        <span class="chip chip-unknown">running</span>
      ) : (
        <Chip level={LEVELS[state]}>{state}</Chip>
      )}
      {progress && (
        <span class="progress">
          <progress
            aria-label="Progress"
            {...(progress.total !== null && { value: progress.done, max: Math.max(1, progress.total) })}
          />{' '}
          {grouped(progress.done)}
          {progress.total !== null && ` of ${grouped(progress.total)}`}
        </span>
      )}
    </>
  );
}
