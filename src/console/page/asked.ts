/** An answer of the server that a view shows: asked for again while the page is live, kept while a new one comes. */
import { useSignal, useSignalEffect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { asProblem, get, type Problem } from './api.ts';
import { isLive } from './live.ts';
import { noticeEndOfLogin } from './session.ts';

export interface Asked<Answer> {
  /** Undefined until it has come; the last one while a problem lasts. */
  readonly answer: Answer | undefined;
  readonly problem: Problem | null;
  readonly isLoading: boolean;
  readonly reload: () => void;
}

/**
 * @param path null asks for nothing
 * @param everyMs asks again after this time while the page is live; 0 never
 */
export function useAsked<Answer>(path: string | null, everyMs = 0): Asked<Answer> {
  const state = useSignal<{ path: string | null; answer?: Answer; problem: Problem | null }>({
    path,
    problem: null,
  });
  const turn = useSignal(0);
  const inFlight = useRef<AbortController | null>(null);

  const ask = async () => {
    if (path === null) return;
    inFlight.current?.abort();
    const abort = new AbortController();
    inFlight.current = abort;
    try {
      const answer = await get<Answer>(path, abort.signal);
      if (!abort.signal.aborted) state.value = { path, answer, problem: null };
    } catch (error) {
      if (abort.signal.aborted) return;
      const problem = asProblem(error);
      noticeEndOfLogin(problem);
      const last = state.value.path === path ? state.value.answer : undefined;
      state.value = { path, problem, ...(last !== undefined && { answer: last }) };
    } finally {
      if (inFlight.current === abort) inFlight.current = null;
    }
  };

  useEffect(() => {
    void ask();
    return () => inFlight.current?.abort();
  }, [path, turn.value]);
  useSignalEffect(() => {
    if (!isLive.value || everyMs === 0) return;
    const timer = setInterval(() => {
      if (inFlight.current === null) turn.value++;
    }, everyMs);
    return () => clearInterval(timer);
  });

  const isOwn = state.value.path === path;
  return {
    answer: isOwn ? state.value.answer : undefined,
    problem: isOwn ? state.value.problem : null,
    isLoading:
      path !== null && (!isOwn || (state.value.answer === undefined && state.value.problem === null)),
    reload: () => {
      turn.value++;
    },
  };
}
