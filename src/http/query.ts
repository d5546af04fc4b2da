/** Reads the query of a URL exactly: what is no UTF-8 is refused, not replaced, since keys are in queries. */
import { RequestError } from './request-error.ts';

/** Values by name, in their order. @throws RequestError */
export function parseQuery(text: string): Record<string, string[]> {
  const values: Record<string, string[]> = Object.create(null);
  if (text === '') return values;
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const name = decode(at < 0 ? pair : pair.slice(0, at));
    const value = at < 0 ? '' : decode(pair.slice(at + 1));
    const there = values[name];
    if (there) there.push(value);
    else values[name] = [value];
  }
  return values;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch (cause) {
    throw new RequestError(
      'INVALID_REQUEST',
      'The query of the URL has a "%" that begins no byte, or is not UTF-8; encode each value for a URL.',
      { cause },
    );
  }
}
