/**
 * The text of a key: `sluice_<id>_<secret><checksum>`. Scanners for leaked secrets recognise the form, and the
 * checksum tells a key from a text that only looks like one.
 */
import { hash, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ID_LENGTH = 10;
/** 190 random bits. */
const SECRET_LENGTH = 32;
/** 62 to the power of 6 exceeds 2 to the power of 32. */
const CHECKSUM_LENGTH = 6;

/** Also for scanners: docs/http.md has this pattern. */
const KEY_PATTERN = /^sluice_([0-9A-Za-z]{10})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})$/;

export interface KeyText {
  readonly id: string;
  readonly secret: string;
}

export function makeKey(): KeyText & { readonly text: string } {
  const id = randomText(ID_LENGTH);
  const secret = randomText(SECRET_LENGTH);
  return { id, secret, text: `sluice_${id}_${secret}${checksum(id, secret)}` };
}

/** Undefined if the text is no key, or was mistyped. */
export function parseKey(text: string): KeyText | undefined {
  const [, id, secret, check] = KEY_PATTERN.exec(text) ?? [];
  if (id === undefined || secret === undefined || check !== checksum(id, secret)) return undefined;
  return { id, secret };
}

/** What is kept of a secret. It is random, so that no slow hash is needed. */
export function digestOf(secret: string): Buffer {
  return hash('sha256', secret, 'buffer');
}

function checksum(id: string, secret: string): string {
  let rest = crc32(`${id}_${secret}`);
  let text = '';
  for (let at = 0; at < CHECKSUM_LENGTH; at++) {
    text = DIGITS[rest % DIGITS.length]! + text;
    rest = Math.floor(rest / DIGITS.length);
  }
  return text;
}

function randomText(length: number): string {
  return Array.from({ length }, () => DIGITS[randomInt(DIGITS.length)]!).join('');
}
