/** Errors of a request itself, before Sluice has seen any update of it. */
import { SluiceError } from '../shared/errors.ts';

export type RequestErrorCode =
  | 'INVALID_REQUEST'
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'REQUEST_TOO_LARGE'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'RATE_LIMITED'
  | 'REQUEST_TIMEOUT'
  | 'NOT_RUNNING_HERE'
  | 'COUNT_CHANGED'
  | 'VERIFY_RUNNING';

/** Where in a request something is wrong. */
export interface Problem {
  /** JSON pointer into the body, such as `/3/amount`, or the name of a parameter or header. */
  readonly at: string;
  readonly problem: string;
}

export class RequestError extends SluiceError {
  readonly code: RequestErrorCode;
  override readonly retryable: boolean;
  readonly problems: readonly Problem[] | undefined;
  /** Seconds. */
  readonly retryAfter: number | undefined;

  constructor(
    code: RequestErrorCode,
    message: string,
    { problems, retryAfter, cause }: { problems?: Problem[]; retryAfter?: number; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.code = code;
    this.problems = problems;
    this.retryAfter = retryAfter;
    this.retryable = code === 'RATE_LIMITED' || code === 'REQUEST_TIMEOUT';
  }
}

/** Every update of a request met the same error, which a retry can solve. */
export class UnavailableForAll extends SluiceError {
  readonly code: string;
  override readonly retryable = true;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
