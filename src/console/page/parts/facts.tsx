/** Names and what they are, one a line. */
import type { ComponentChildren } from 'preact';

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
  return text === null ? <span class="quiet">none</span> : <pre class="json">{laidOut(text)}</pre>;
}

/** Adds line breaks outside of strings; no number is read, so each keeps its digits. */
function laidOut(text: string): string {
  let depth = 0;
  const line = () => `\n${'  '.repeat(depth)}`;
  return text.replace(/"(?:[^"\\]|\\.)*"|\{\}|\[\]|[{}[\],:]|\s+/g, part => {
    if (part === '{' || part === '[') {
      depth++;
      return part + line();
    }
    if (part === '}' || part === ']') {
      depth = Math.max(0, depth - 1);
      return line() + part;
    }
    if (part === ',') return part + line();
    if (part === ':') return ': ';
    return part.trim() === '' ? '' : part;
  });
}
