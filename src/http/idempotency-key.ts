/**
 * The header `Idempotency-Key` (draft 07): a structured string, `"8e03978e-40d5"`. A bare token is taken too,
 * since many clients send one.
 */
import { RequestError } from './request-error.ts';

const QUOTED = /^"((?:[\x20\x21\x23-\x5B\x5D-\x7E]|\\["\\])*)"$/;
const TOKEN = /^[\x21\x23-\x2B\x2D-\x3A\x3C-\x5B\x5D-\x7E]+$/;

/** Undefined if the header is missing. @throws RequestError */
export function readIdempotencyKey(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  const text = String(header);
  const [, quoted] = QUOTED.exec(text) ?? [];
  if (quoted) return quoted.replace(/\\(["\\])/g, '$1');
  if (quoted === undefined && TOKEN.test(text)) return text;
  throw new RequestError(
    'INVALID_REQUEST',
    'The header Idempotency-Key must be one string in quotes, such as "8e03978e-40d5", or one token without blanks, commas and semicolons.',
    { problems: [{ at: 'Idempotency-Key', problem: 'is not one string' }] },
  );
}

/**
 * The id of an update, from the header or the body. Both may be given if they agree.
 * @throws RequestError
 */
export function idOf(header: string | undefined, body: string | undefined): string | undefined {
  if (header !== undefined && body !== undefined && header !== body)
    throw new RequestError(
      'INVALID_REQUEST',
      'The header Idempotency-Key and the id in the body differ; send one of them, or both alike.',
      { problems: [{ at: '/id', problem: 'differs from the header Idempotency-Key' }] },
    );
  return header ?? body;
}
