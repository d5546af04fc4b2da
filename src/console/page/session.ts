/** Who looks at this page, and what they may do. The server checks again. */
import { computed, signal } from '@preact/signals';
import type { Me, Role } from '../answers.ts';
import { go, path } from './address.ts';
import { asProblem, get, type Problem, post } from './api.ts';

const ROLES: readonly Role[] = ['viewer', 'operator', 'admin'];

export const me = signal<Me | null>(null);
export const meProblem = signal<Problem | null>(null);

/** Whether anything may be asked of the server. */
export const mayLook = computed(
  () => me.value !== null && (me.value.login === 'open' || me.value.user !== null),
);

export function may(role: Role): boolean {
  const { user } = me.value ?? { user: null };
  return user !== null && ROLES.indexOf(user.role) >= ROLES.indexOf(role);
}

/** Why a button is off; null if the role suffices. */
export function whyNot(role: Role): string | null {
  if (may(role)) return null;
  return me.value?.login === 'open'
    ? 'Read-only: there are no users. Make one with "sluice users add".'
    : `This needs the role ${role}.`;
}

/** How long after a failure the server is asked again who looks. */
const AGAIN_MS = 2000;
let again: ReturnType<typeof setTimeout> | undefined;

export async function loadMe(): Promise<void> {
  clearTimeout(again);
  try {
    me.value = await get<Me>('/api/me');
    meProblem.value = null;
  } catch (error) {
    meProblem.value = asProblem(error);
    // Until that is known nothing is shown, so nothing else would ask again.
    if (me.value === null) again = setTimeout(() => void loadMe(), AGAIN_MS);
  }
}

/** @throws Problem */
export async function logIn(name: string, password: string): Promise<void> {
  await post('/api/login', { name, password });
  await loadMe();
}

/** If it fails, nothing is shown until the server says who looks: others may use this machine. */
export async function logOut(everywhere: boolean): Promise<void> {
  await post('/api/logout', { everywhere }).catch(() => {
    me.value = null;
  });
  await loadMe();
}

/** To be called with the problem of any request: 401 says that the login has ended while the page was open. */
export function noticeEndOfLogin({ status }: Problem): void {
  if (status === 401) void loadMe();
}

/** To the form, with the way back. */
export function askForLogin(): void {
  if (path.value !== '/login') go(`/login?to=${encodeURIComponent(location.pathname + location.search)}`);
}
