/** The way to the next page of a list, and back to the first. The place is in the address. */
import { path, query, setQuery } from '../address.ts';

export function Pager({ name, next, label }: { name: string; next: string | number | null; label: string }) {
  const isFirst = !query.value.has(name);
  if (isFirst && next === null) return null;
  return (
    <nav class="pager" aria-label={label} key={path.value}>
      <button type="button" disabled={isFirst} onClick={() => setQuery({ [name]: '' })}>
        First page
      </button>
      <button type="button" disabled={next === null} onClick={() => setQuery({ [name]: String(next) })}>
        Next page
      </button>
    </nav>
  );
}
