/** A choice of this browser that outlives the page. A browser without storage forgets it. */
import { effect, type Signal, signal } from '@preact/signals';

/** @param choices the first is the default */
export function remembered<const Choice extends string>(
  name: string,
  choices: readonly Choice[],
): Signal<Choice> {
  const key = `sluice.${name}`;
  const choice = signal(choices.find(one => one === read(key)) ?? choices[0]!);
  effect(() => write(key, choice.value));
  return choice;
}

function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage is full or forbidden.
  }
}
