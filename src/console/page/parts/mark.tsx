/** A level as a shape, so that no one needs to see its colour. */

export type Level = 'well' | 'warning' | 'bad' | 'unknown';

export const LEVEL_WORDS: Readonly<Record<Level, string>> = {
  well: 'All is well',
  warning: 'Look soon',
  bad: 'Act now',
  unknown: 'Unknown',
};

const SHAPES: Readonly<Record<Level, string>> = {
  // A disc with a tick, a triangle, an octagon with a cross, a ring with a question mark.
  well: 'M12 2a10 10 0 1 0 0 20a10 10 0 0 0 0-20zM10.5 17l-4.6-4.6 1.9-1.9 2.7 2.7 5.7-5.7 1.9 1.9z',
  warning: 'M12 2L1 21h22zM11 9h2v6h-2zM11 17h2v2h-2z',
  bad: 'M8 2h8l6 6v8l-6 6H8l-6-6V8zM7.8 9.2l1.4-1.4L12 10.6l2.8-2.8 1.4 1.4L13.4 12l2.8 2.8-1.4 1.4L12 13.4l-2.8 2.8-1.4-1.4L10.6 12z',
  unknown:
    'M12 2a10 10 0 1 0 0 20a10 10 0 0 0 0-20zM11 16h2v2h-2zM8.5 9a3.5 3.5 0 1 1 4.5 3.4V15h-2v-4h1a1.5 1.5 0 1 0-1.5-2z',
};

export function Mark({ level }: { level: Level }) {
  return (
    <svg class={`mark mark-${level}`} viewBox="0 0 24 24" width="1em" height="1em" aria-hidden="true">
      <path fill="currentColor" fill-rule="evenodd" d={SHAPES[level]} />
    </svg>
  );
}

/** A short word in the colour and with the shape of a level. */
export function Chip({ level, children }: { level: Level; children: string }) {
  return (
    <span class={`chip chip-${level}`}>
      <Mark level={level} /> {children}
    </span>
  );
}
