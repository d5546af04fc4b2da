// What a client is told of an error: by its code whether to repeat, and nothing about the servers.

import { expect, it } from 'vitest';
import { problemOf, toldOf } from '../../src/http/problem.ts';
import { AccessDeniedError, NotMigratedError, UnknownOutcomeError } from '../../src/shared/errors.ts';

it('a password that changes is an outage for clients, and names no server', () => {
  const error = new AccessDeniedError('Redis', 'redis.internal:6379');
  expect(error.retryable).toBe(false);
  const problem = problemOf(error);
  expect(problem).toMatchObject({ status: 503, code: 'ACCESS_DENIED', retryable: true, applied: 'no' });
  expect(JSON.stringify(problem)).not.toContain('internal');
  expect(toldOf(error)).toMatchObject({ code: 'ACCESS_DENIED', retryable: true, applied: 'no' });
});

it('an unknown outcome says so, and an error that only an operator can end is a 500', () => {
  expect(problemOf(new UnknownOutcomeError())).toMatchObject({
    status: 503,
    retryable: true,
    applied: 'unknown',
  });
  expect(problemOf(new NotMigratedError('no tables'))).toMatchObject({ status: 500, retryable: false });
  expect(problemOf(new TypeError('x'))).toMatchObject({ status: 500, code: 'INTERNAL', applied: 'unknown' });
});
