// What stands in place of the marked lines of a script, and what is refused when it is read.

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

it('puts a part in place of its line, on one line and without its comments', async () => {
  const [shebang, part, last] = await read('#!lua', '--!include int', 'return int(ARGV[1])');
  expect([shebang, last]).toEqual(['#!lua', 'return int(ARGV[1])']);
  expect(part).toBe("local function int(number) return string.format('%d', number) end");
});

it('reads the fields that are used, each as what the layout says that it is', async () => {
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

it('reads fields that only a part uses', async () => {
  expect((await read('--!read state', '  --!include oldest'))[0]).toMatch(/'flightOldest'/);
});

it('refuses a part that does not exist, and a field that the layout does not have', async () => {
  await expect(read('--!include intt')).rejects.toThrow('some.lua includes "intt", which does not exist');
  await expect(read('--!read state', 'return state.tokn')).rejects.toThrow(
    'some.lua uses state.tokn, which is no field of the state',
  );
});

it('has no part that fewer than two scripts share, and no marked line that is not understood', () => {
  const root = join(import.meta.dirname, '../../src');
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(name =>
    name.endsWith('.lua'),
  );
  const [parts, scripts] = ['/lua/', ''].map(folder =>
    files.filter(name => (folder ? name.includes(folder) : !name.includes('/lua/'))),
  );
  const texts = scripts!.map(name => readFileSync(join(root, name), 'utf8'));
  for (const part of parts!) {
    const line = `--!include ${/([^/]+)\.lua$/.exec(part)![1]}\n`;
    expect(texts.filter(text => text.includes(line)).length, part).toBeGreaterThan(1);
  }
  for (const name of scripts!) expect(readScript(pathToFileURL(join(root, name))), name).not.toContain('--!');
});
