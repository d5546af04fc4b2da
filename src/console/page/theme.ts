/** Light or dark: as the system says, unless somebody has chosen. */
import { effect } from '@preact/signals';
import { remembered } from './remembered.ts';

const THEMES = ['system', 'light', 'dark'] as const;
export const theme = remembered('theme', THEMES);

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]!;
}

export function startTheme(): void {
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
  });
}
