/** A small file of text as editors write it: with a byte order mark or without, and never in UTF-16. */
import { readFileSync } from 'node:fs';

/** What the file is, if it is not UTF-8; the caller names it. */
export class NotUtf8 extends Error {}

/** @throws NotUtf8, or what the system says */
export function readTextFile(path: string): string {
  const bytes = readFileSync(path);
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff))
    throw new NotUtf8('is in UTF-16; save it as UTF-8');
  try {
    // Takes a byte order mark away.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new NotUtf8('is not in UTF-8; save it so', { cause });
  }
}
