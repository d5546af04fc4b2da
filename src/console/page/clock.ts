/** Times for people: in UTC as the logs have them, or local; and how long ago. */
import { computed, effect, signal } from '@preact/signals';
import { remembered } from './remembered.ts';

export const zone = remembered('zone', ['utc', 'local']);

/** Milliseconds since 1970, once a second while the page is seen. */
export const now = signal(Date.now());

export function toggleZone(): void {
  zone.value = zone.value === 'utc' ? 'local' : 'utc';
}

const formats = {
  utc: new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'medium', timeZone: 'UTC' }),
  local: new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'medium' }),
};

/** `2026-11-30 03:12:05`. */
export function dateAndTime(at: string | number): string {
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? String(at) : formats[zone.value].format(time);
}

/** `03:12:05`. */
export function timeOfDay(at: string | number): string {
  return dateAndTime(at).slice(11);
}

export const zoneName = computed(() => (zone.value === 'utc' ? 'UTC' : 'local'));

/** Runs as long as the page does. */
export function startClock(): void {
  effect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) now.value = Date.now();
    }, 1000);
    return () => clearInterval(timer);
  });
}
