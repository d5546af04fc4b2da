/** Bodies as JSON with exact numbers. What two parsers could read differently is refused. */
import { isUtf8 } from 'node:buffer';
import { DuplicateKeyError, parseExact } from '../shared/exact-json.ts';
import { RequestError } from './request-error.ts';

/** @throws RequestError */
export function parseBody(body: Buffer): unknown {
  if (!isUtf8(body)) throw invalid('The body is not UTF-8.');
  try {
    return parseExact(body.toString('utf8'));
  } catch (error) {
    if (error instanceof DuplicateKeyError)
      throw invalid(`An object in the body has one key twice: ${error.message}; leave one out.`);
    throw invalid(
      error instanceof RangeError
        ? 'The body is nested thousands of levels deep; flatten it.'
        : 'The body is not JSON; check that it is complete.',
    );
  }
}

function invalid(message: string): RequestError {
  return new RequestError('INVALID_REQUEST', message);
}
