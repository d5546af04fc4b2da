/** What stands around every view: the bar on top, the verdict, the navigation. */
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { address, go, path } from '../address.ts';
import { now, timeOfDay, toggleZone, zone, zoneName } from '../clock.ts';
import { isHelpOpen, VIEWS } from '../keys.ts';
import { type LiveState, liveState, togglePause } from '../live.ts';
import { logOut, me } from '../session.ts';
import { nextTheme, theme } from '../theme.ts';
import { VerdictBar } from './verdict.tsx';

export function Frame({ children }: { children: ComponentChildren }) {
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="bar">
        <a class="brand" href="/">
          Sluice
        </a>
        <span class="namespace">{me.value?.namespace ?? ''}</span>
        <Search />
        <LiveButton />
        <button type="button" class="plain" onClick={toggleZone} title="UTC or local time">
          <time>{timeOfDay(now.value)}</time> {zoneName.value}
          <span class="unseen">; show {zone.value === 'utc' ? 'local time' : 'UTC'}</span>
        </button>
        <button type="button" class="plain" onClick={nextTheme} title="System, light or dark">
          <span aria-hidden="true">◐</span> <span class="wide-only">{theme.value}</span>
          <span class="unseen">colours: {theme.value}; change</span>
        </button>
        <button
          type="button"
          class="plain"
          title="Keys (?)"
          aria-label="Keys"
          onClick={() => {
            isHelpOpen.value = true;
          }}
        >
          ?
        </button>
        <User />
      </header>
      <VerdictBar />
      <div class="body">
        <Navigation />
        <main id="main" tabIndex={-1}>
          {children}
        </main>
      </div>
    </>
  );
}

function Navigation() {
  const isOpen = useSignal(false);
  return (
    <nav class={isOpen.value ? 'views open' : 'views'} aria-label="Views">
      <button
        type="button"
        class="menu"
        aria-expanded={isOpen.value}
        aria-controls="views"
        onClick={() => {
          isOpen.value = !isOpen.value;
        }}
      >
        ☰ {VIEWS.find(view => view.path === path.value)?.name ?? 'Views'}
      </button>
      <ul id="views">
        {VIEWS.map(view => (
          <li key={view.path}>
            <a
              href={view.path}
              aria-current={isCurrent(view.path) ? 'page' : undefined}
              onClick={() => {
                isOpen.value = false;
              }}
            >
              {view.name}{' '}
              <span class="key" aria-hidden="true">
                g {view.letter}
              </span>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function isCurrent(view: string): boolean {
  return path.value === view || (view !== '/' && path.value.startsWith(`${view}/`));
}

function Search() {
  const send = (event: Event) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const text = String(new FormData(form).get('text') ?? '');
    if (text.trim() === '') return;
    form.reset();
    (document.activeElement as HTMLElement | null)?.blur();
    go(address('/look-up', { search: text }));
  };
  return (
    <search>
      <form onSubmit={send}>
        <input
          id="search"
          name="text"
          type="search"
          autocomplete="off"
          spellcheck={false}
          placeholder="Find a key or account  ( / )"
          aria-label="Find a key or an account"
        />
      </form>
    </search>
  );
}

const LIVE_WORDS: Readonly<Record<LiveState, string>> = {
  live: 'Live',
  polling: 'Live, every 5 s',
  paused: 'Paused',
  typing: 'Paused while you type',
  silent: 'No answer',
};

function LiveButton() {
  const state = liveState.value;
  return (
    <button type="button" class={`live live-${state}`} onClick={togglePause} title="Pause or go on ( . )">
      <span aria-hidden="true">{state === 'paused' || state === 'typing' ? '❚❚' : '▶'}</span>{' '}
      <span data-live={state}>{LIVE_WORDS[state]}</span>
    </button>
  );
}

function User() {
  const { user, login } = me.value ?? { user: null, login: 'open' };
  if (user === null) return <span class="user quiet">{login === 'open' ? 'read-only' : ''}</span>;
  return (
    <span class="user">
      {user.name} <span class="quiet">{user.role}</span>
      {login === 'form' && (
        <button type="button" class="plain" onClick={() => void logOut(false)}>
          Log out
        </button>
      )}
    </span>
  );
}
