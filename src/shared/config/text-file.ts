/** Reads a small UTF-8 file, with or without a byte order mark. */
import { readFileSync } from 'node:fs';

/** The message is the rest of a sentence that names the file. */
export class NotUtf8 extends Error {}

/** @throws NotUtf8, or a system error */
export function readTextFile(path: string): string {
  const bytes = readFileSync(path);
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff))
    throw new NotUtf8('is in UTF-16; save it as UTF-8');
  try {
    // Removes a byte order mark.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new NotUtf8('is not in UTF-8; save it as UTF-8', { cause });
  }
}
