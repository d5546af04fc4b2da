/**
 * The address: which view is shown, and every filter of it, so that it can be sent to a colleague. Links are plain
 * `<a href>`; a click on one that leads to a view changes the address without loading the page again.
 */
import { computed, signal } from '@preact/signals';

const href = signal(location.pathname + location.search);

export const path = computed(() => new URL(href.value, location.origin).pathname);
export const query = computed(() => new URL(href.value, location.origin).searchParams);

export function go(to: string): void {
  if (to === href.value) return;
  history.pushState(null, '', to);
  follow();
  scrollTo(0, 0);
}

/** Changes parts of the query; an empty text removes one. `push` adds a step to go back to. */
export function setQuery(changes: Readonly<Record<string, string>>, push = true): void {
  const next = new URLSearchParams(query.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value === '') next.delete(name);
    else next.set(name, value);
  }
  const to = withQuery(path.value, next);
  if (to === href.value) return;
  if (push) history.pushState(null, '', to);
  else history.replaceState(null, '', to);
  follow();
}

/** Texts of the query by name, without empty ones. */
export function queryOf(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap(name => (query.value.get(name) ? [[name, query.value.get(name)!]] : [])),
  );
}

/** An address with these texts in its query; empty ones are left out. */
export function address(
  to: string,
  texts: Readonly<Record<string, string | number | null | undefined>> = {},
): string {
  const wanted = Object.entries(texts).filter(
    ([, text]) => text !== '' && text !== null && text !== undefined,
  );
  return withQuery(to, new URLSearchParams(wanted.map(([name, text]) => [name, String(text)])));
}

/** A path of this page only: `//e` and `/\e` would lead to another host. */
export function ownPath(text: string | null): string {
  return text !== null && /^\/(?![/\\])/.test(text) ? text : '/';
}

function withQuery(to: string, texts: URLSearchParams): string {
  const text = texts.toString();
  return text === '' ? to : `${to}?${text}`;
}

function follow(): void {
  href.value = location.pathname + location.search;
}

/** Follows the buttons back and forward, and clicks on links. */
export function watchAddress(): void {
  addEventListener('popstate', follow);
  document.addEventListener('click', event => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest?.('a');
    if (link?.target !== '' || link.hasAttribute('download') || link.origin !== location.origin) return;
    if (link.hash !== '' || /\.\w+$|^\/(?:api|openid)\//.test(link.pathname)) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
