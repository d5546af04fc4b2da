/** What each key does. None of them acts while somebody types in a field, or with a modifier. */
import { signal } from '@preact/signals';
import { go } from './address.ts';
import { togglePause } from './live.ts';

/** Views by the letter behind `g`, as the navigation has them. */
export const VIEWS = [
  { letter: 'o', path: '/', name: 'Overview' },
  { letter: 'p', path: '/partitions', name: 'Partitions' },
  { letter: 'l', path: '/look-up', name: 'Look up' },
  { letter: 't', path: '/trace', name: 'Trace' },
  { letter: 'q', path: '/quarantine', name: 'Quarantine' },
  { letter: 'j', path: '/jobs', name: 'Flush jobs' },
  { letter: 'a', path: '/operations', name: 'Operations' },
  { letter: 'v', path: '/verify', name: 'Verify' },
  { letter: 'w', path: '/processes', name: 'Processes' },
] as const;

export const KEYS: readonly (readonly [keys: string, effect: string])[] = [
  ['/', 'search for a key or an account'],
  ['.', 'pause the live figures, or let them go on'],
  ['j', 'next row of a list'],
  ['k', 'row before'],
  ['Enter', 'open the row'],
  ['?', 'this help'],
  ...VIEWS.map(({ letter, name }) => [`g ${letter}`, name] as const),
];

/** How long `g` waits for its letter. */
const SECOND_KEY_MS = 1500;

export const isHelpOpen = signal(false);
let goingUntil = 0;

export function watchKeys(): void {
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = event.target as Element;
    if (target.matches('input, textarea, select') || document.querySelector('dialog[open]')) return;
    if (press(event.key, target)) event.preventDefault();
  });
}

/** Whether the key did something. */
function press(key: string, target: Element): boolean {
  const view = performance.now() < goingUntil && VIEWS.find(({ letter }) => letter === key);
  goingUntil = 0;
  if (view) {
    go(view.path);
    return true;
  }
  if (key === 'g') {
    goingUntil = performance.now() + SECOND_KEY_MS;
    return true;
  }
  if (key === 'Enter') return open(target);
  return act(key);
}

function act(key: string): boolean {
  if (key === '/') document.querySelector<HTMLInputElement>('#search')?.focus();
  else if (key === '?') isHelpOpen.value = true;
  else if (key === '.') togglePause();
  else if (key === 'j') move(1);
  else if (key === 'k') move(-1);
  else return false;
  return true;
}

/** Moves the focus along the rows of the view. */
function move(by: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>('main [data-row]')];
  const at = rows.findIndex(row => row.contains(document.activeElement));
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
  rows[next]?.focus();
}

/** Opens the first link of a row that has the focus itself. */
function open(target: Element): boolean {
  if (!target.matches('[data-row]')) return false;
  target.querySelector<HTMLElement>('a, button')?.click();
  return true;
}
