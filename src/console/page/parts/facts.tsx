/** Names and what they are, one a line. */
import type { ComponentChildren } from 'preact';
import { jsonLines } from '../json-lines.ts';

export function Facts({ of }: { of: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {of.map(([name, what]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{what ?? <span class="quiet">none</span>}</dd>
        </div>
      ))}
    </dl>
  );
}

/** JSON as users wrote it, laid out; a text that is no JSON is shown as it is. */
export function JsonText({ text }: { text: string | null }) {
  return text === null ? <span class="quiet">none</span> : <pre class="json">{jsonLines(text)}</pre>;
}
