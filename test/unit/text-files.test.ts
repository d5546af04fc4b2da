// Text files as editors write them: a byte order mark is removed, and only UTF-8 is accepted.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { readConfig } from '../../src/shared/config/config.ts';
import { readDefinitions } from '../../src/shared/config/definitions.ts';
import { currentPassword } from '../../src/shared/password.ts';

const servers = { REDIS_URL: 'redis://r', MYSQL_URL: 'mysql://m/app' };
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);
const text = '{ "counters": { "views": {} } }\n';

function written(content: Buffer | string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'file');
  writeFileSync(path, content);
  return path;
}

it('a byte order mark changes nothing about definitions', () => {
  const plain = readDefinitions(written(text));
  expect(readDefinitions(written(Buffer.concat([BOM, Buffer.from(text)])))).toEqual(plain);
});

const utf16 = Buffer.from(`\uFEFF${text}`, 'utf16le');
it.each([
  ['UTF-16, little end first', utf16, 'UTF-16'],
  ['UTF-16, big end first', Buffer.from(utf16).swap16(), 'UTF-16'],
  ['Latin-1', Buffer.from('{ "counters": { "é": {} } }', 'latin1'), 'not in UTF-8'],
])('definitions in %s are refused with their path', (_, content, said) => {
  const path = written(content);
  expect(() => readDefinitions(path)).toThrow(
    expect.objectContaining({ code: 'INVALID_CONFIGURATION', message: expect.stringContaining(said) }),
  );
  expect(() => readDefinitions(path)).toThrow(path);
});

it('a password in a file is read without the mark and the line end', () => {
  const path = written(Buffer.concat([BOM, Buffer.from('pä ss\r\n')]));
  const { redis, mysql } = readConfig({ ...servers, REDIS_PASSWORD_FILE: path, MYSQL_PASSWORD_FILE: path });
  expect([redis, mysql].map(({ password }) => currentPassword(password!))).toEqual(['pä ss', 'pä ss']);
  const wide = written(Buffer.from('\uFEFFpass', 'utf16le'));
  expect(() => readConfig({ ...servers, MYSQL_PASSWORD_FILE: wide }).mysql).toThrow(
    /MYSQL_PASSWORD_FILE.*UTF-16/,
  );
});
