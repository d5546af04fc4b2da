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

/** A JSON text that goes into a request as it was typed, since a number of JavaScript would lose digits. */
export class TypedJson {
  readonly text: string;

  /** @throws SyntaxError if it is not JSON, so that it cannot end the value that it is put into */
  constructor(text: string) {
    JSON.parse(text);
    this.text = text;
  }
}

/** As `JSON.stringify` of plain data. */
export function jsonOf(value: unknown): string {
  if (value instanceof TypedJson) return value.text;
  if (Array.isArray(value)) return `[${value.map(jsonOf).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).filter(([, one]) => one !== undefined);
  return `{${members.map(([name, one]) => `${JSON.stringify(name)}:${jsonOf(one)}`).join(',')}}`;
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
    body: jsonOf(body),
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
