// How the marked lines of a script are replaced when it is read, and which of them are refused.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { readScript } from '../../src/shared/redis/read-script.ts';
import { temporaryFolder } from '../support/servers.ts';

async function read(...lines: string[]): Promise<string[]> {
  const file = join(await temporaryFolder(), 'some.lua');
  writeFileSync(file, lines.join('\n'));
  return readScript(pathToFileURL(file)).split('\n');
}

it('a part replaces its line, on one line and without comments', async () => {
  const [shebang, part, last] = await read('#!lua', '--!include int', 'return int(ARGV[1])');
  expect([shebang, last]).toEqual(['#!lua', 'return int(ARGV[1])']);
  expect(part).toBe("local function int(number) return string.format('%d', number) end");
});

it('a part may include another', async () => {
  const [script] = await read('--!include write-counter-ids');
  expect(script).not.toContain('--!');
  expect(script).toContain('local place = ');
});

it('`read state` reads the fields that the script uses, with the types of the layout', async () => {
  const [reading, last] = await read(
    '--!read state',
    "return state.token ~= '' and state.sequence -- state.epoch",
  );
  expect(last).toMatch(/^return/);
  expect(reading).toBe(
    "local state do local values = redis.call('HMGET', KEYS[1], 'token', 'sequence') " +
      "state = { token = values[1] or '', sequence = tonumber(values[2]) or 0 } end",
  );
});

it('`read state from` reads the state under a variable', async () => {
  expect((await read('--!read state from other', 'return state.token'))[0]).toMatch(
    /\('HMGET', other, 'token'\)/,
  );
});

it('`read state` also reads fields that only a part uses', async () => {
  expect((await read('--!read state', '  --!include oldest'))[0]).toMatch(/'flightOldest'/);
});

it('an unknown part and an unknown field are refused', async () => {
  await expect(read('--!include intt')).rejects.toThrow('some.lua includes "intt", which does not exist');
  await expect(read('--!read state', 'return state.tokn')).rejects.toThrow(
    'some.lua uses state.tokn, which is no field of the state',
  );
});

/** Parts of one long script, which creates their functions only if it needs them. */
const CHAPTERS = ['write-counter-ids', 'hold', 'apply-read', 'apply-plain', 'apply-ranks'];

it('every part is included twice at least or is a chapter, and every marked line is understood', () => {
  const root = join(import.meta.dirname, '../../src');
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(name =>
    name.endsWith('.lua'),
  );
  const [parts, scripts] = ['/lua/', ''].map(folder =>
    files.filter(name => (folder ? name.includes(folder) : !name.includes('/lua/'))),
  );
  const text = files.map(name => readFileSync(join(root, name), 'utf8')).join('\n');
  for (const part of parts!) {
    const name = /([^/]+)\.lua$/.exec(part)![1]!;
    const includes = text.split(`--!include ${name}\n`).length - 1;
    expect(includes, part).toBeGreaterThan(CHAPTERS.includes(name) ? 0 : 1);
  }
  for (const name of scripts!) expect(readScript(pathToFileURL(join(root, name))), name).not.toContain('--!');
});
