/** Requests to the server that has sent this page; every error becomes a `Problem` with its code. */
import type { ShownProblem } from '../answers.ts';

export class Problem extends Error {
  readonly code: string;
  readonly status: number;

  constructor({ code, detail, status }: Pick<ShownProblem, 'code' | 'detail' | 'status'>) {
    super(detail);
    this.code = code;
    this.status = status;
  }
}

/** The console itself does not answer. */
const NO_ANSWER = 'NO_ANSWER';

export function get<Answer>(path: string, signal?: AbortSignal): Promise<Answer> {
  return request(path, signal ? { signal } : {});
}

export function post<Answer>(path: string, body: unknown = {}, signal?: AbortSignal): Promise<Answer> {
  return request(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal && { signal }),
  });
}

async function request<Answer>(path: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(path, init).catch(error => {
    if (init.signal?.aborted) throw error;
    throw noAnswer();
  });
  const text = await response.text().catch(() => {
    throw noAnswer();
  });
  if (!response.ok) throw problemOf(response, text);
  return (text === '' ? null : JSON.parse(text)) as Answer;
}

function noAnswer(): Problem {
  const detail = 'The console does not answer; see that its process runs and that this machine reaches it.';
  return new Problem({ code: NO_ANSWER, detail, status: 0 });
}

function problemOf(response: Response, text: string): Problem {
  try {
    const { code, detail } = JSON.parse(text) as ShownProblem;
    if (code && detail) return new Problem({ code, detail, status: response.status });
  } catch {
    // A proxy in between has answered.
  }
  const detail = `Something before the console answered with status ${response.status}; look at the proxy.`;
  return new Problem({ code: 'NO_PROBLEM_BODY', detail, status: response.status });
}

/** Any error as a problem, since a mistake of this page must be shown too. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new Problem({ code: 'PAGE_FAILED', detail, status: 0 });
}
