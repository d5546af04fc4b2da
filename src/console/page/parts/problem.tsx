/** An error of the server, with its code and what to do, as it said. */
import type { Problem } from '../api.ts';
import { Mark } from './mark.tsx';

export function ProblemNote({ problem, retry }: { problem: Problem | null; retry?: () => void }) {
  if (problem === null) return null;
  return (
    <div class="problem" role="alert">
      <Mark level="bad" />
      <p>
        <code>{problem.code}</code> {problem.message}
      </p>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}
