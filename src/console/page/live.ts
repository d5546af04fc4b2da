/**
 * What the servers are doing now: samples by server-sent events, or by polling if the stream does not come through.
 * Nothing is asked while nobody looks or somebody types, so that no text moves under a hand.
 */
import { computed, effect, signal } from '@preact/signals';
import type { History, Overview, Sample } from '../answers.ts';
import { asProblem, get } from './api.ts';
import { now } from './clock.ts';
import { mayLook, noticeEndOfLogin } from './session.ts';

/** How long after the last key in a field the stream goes on. */
const TYPING_MS = 5000;
const POLL_MS = 5000;
/** How often the stream is tried again while polling stands in for it. */
const STREAM_AGAIN_MS = 30_000;
/** A sample that is older is no longer called the present. */
const STALE_MS = 10_000;
const KEPT_SECONDS = 3600;

export const sample = signal<Sample | null>(null);
export const history = signal<History | null>(null);
/** By the button or the key. */
const paused = signal(false);
const hidden = signal(document.hidden);
const typedAt = signal(0);
/** When the last sample came, by this machine's clock. */
const heardAt = signal(Date.now());
const way = signal<'stream' | 'polling'>('stream');

const typing = computed(() => now.value - typedAt.value < TYPING_MS);
export const isLive = computed(() => mayLook.value && !paused.value && !hidden.value && !typing.value);

export type LiveState = 'live' | 'polling' | 'paused' | 'typing' | 'silent';

export const liveState = computed((): LiveState => {
  if (paused.value) return 'paused';
  if (typing.value) return 'typing';
  if (silentSeconds.value > 0) return 'silent';
  return way.value === 'polling' ? 'polling' : 'live';
});

/** How long nothing has come although it should; 0 if all is well. */
export const silentSeconds = computed(() => {
  const silent = now.value - heardAt.value;
  return isLive.value && silent > STALE_MS ? Math.round(silent / 1000) : 0;
});

export function togglePause(): void {
  paused.value = !paused.value;
}

export function startLive(): void {
  document.addEventListener('visibilitychange', () => {
    hidden.value = document.hidden;
  });
  document.addEventListener('input', event => {
    if ((event.target as Element).matches('input:not([type=checkbox]), textarea')) typedAt.value = Date.now();
  });
  document.addEventListener('focusout', () => {
    typedAt.value = 0;
  });
  effect(() => (isLive.value ? listen() : undefined));
}

/** Returns what ends it. */
function listen(): () => void {
  const end = new AbortController();
  heardAt.value = Date.now();
  void loadHistory(end.signal);
  void poll(end.signal);
  const stopStream = stream(end.signal);
  return () => {
    end.abort();
    stopStream();
  };
}

function stream(signal: AbortSignal): () => void {
  let source: EventSource | undefined;
  let again: ReturnType<typeof setTimeout> | undefined;
  let polling: ReturnType<typeof setInterval> | undefined;
  const open = () => {
    source = new EventSource('/api/events');
    source.addEventListener('sample', event => {
      clearInterval(polling);
      way.value = 'stream';
      take(JSON.parse((event as MessageEvent<string>).data) as Sample);
    });
    source.onerror = () => {
      source?.close();
      way.value = 'polling';
      clearInterval(polling);
      polling = setInterval(() => void poll(signal), POLL_MS);
      again = setTimeout(open, STREAM_AGAIN_MS);
    };
  };
  open();
  return () => {
    source?.close();
    clearTimeout(again);
    clearInterval(polling);
  };
}

/** Also after a pause, during which no sample came. */
async function loadHistory(signal: AbortSignal): Promise<void> {
  try {
    const past = await get<History>('/api/history', signal);
    // A sample may have come while the server was asked.
    history.value = sample.value ? extended(past, sample.value) : past;
  } catch (error) {
    // Without it there are no charts; the page says of samples that none comes.
    noticeEndOfLogin(asProblem(error));
  }
}

async function poll(signal: AbortSignal): Promise<void> {
  try {
    const overview = await get<Overview>('/api/overview', signal);
    if (overview.sample) take(overview.sample);
  } catch (error) {
    // The page says that nothing is heard, and tries again.
    noticeEndOfLogin(asProblem(error));
  }
}

function take(taken: Sample): void {
  heardAt.value = Date.now();
  if (sample.value?.at === taken.at) return;
  sample.value = taken;
  if (history.value) history.value = extended(history.value, taken);
}

/** The history with the sample behind it, for as long as the server keeps one. */
function extended(past: History, { at, ...taken }: Sample): History {
  const time = Math.floor(Date.parse(at) / 1000);
  if (time <= (past.times.at(-1) ?? 0)) return past;
  const from = past.times.findIndex(one => one > time - KEPT_SECONDS);
  const next = <Value>(values: readonly Value[], value: Value) => [
    ...(from < 0 ? [] : values.slice(from)),
    value,
  ];
  return {
    source: past.source,
    times: next(past.times, time),
    accepted: next(past.accepted, taken.acceptedPerSecond),
    flushed: next(past.flushed, taken.flushedPerSecond),
    lag: next(past.lag, taken.lagSeconds),
    backlog: next(past.backlog, taken.backlog),
    memory: next(past.memory, taken.memory?.used ?? null),
  };
}
