/** What became of an update, or would become of it: the words of operations, with a shape. */
import { type Level, Mark } from './mark.tsx';

const DONE: Readonly<Record<string, Level>> = {
  replayed: 'well',
  dropped: 'well',
  edited: 'well',
  already: 'well',
  duplicate: 'well',
  superseded: 'well',
  waiting: 'warning',
  accepted: 'warning',
  unknown: 'warning',
};

export function Outcome({ of, wouldBe = false }: { of: string; wouldBe?: boolean }) {
  const [word, code] = of.split(/:(.*)/s);
  const level = DONE[word ?? ''] ?? 'bad';
  return (
    <span class={`outcome outcome-${level}`}>
      <Mark level={level} /> {wouldBe ? 'would be ' : ''}
      {word} {code ? <code>{code}</code> : null}
    </span>
  );
}
