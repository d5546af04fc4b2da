// Scripts name exactly the keys and fields of src/shared/redis/layout.ts, as does docs/redis-layout.md.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { layoutFile, layoutPage } from '../../scripts/generate.ts';
import { partitionKeys, stateFields } from '../../src/shared/redis/layout.ts';
import { readScript } from '../../src/shared/redis/read-script.ts';

const root = join(import.meta.dirname, '../../src');
const sources = (ending: string) =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith(ending))
    .map(name => ({ name, file: pathToFileURL(join(root, name)) }));
/** The heartbeat's key is none of a partition. */
const scripts = sources('.lua')
  .filter(({ name }) => !/\/lua\/|\/heartbeat\./.test(name))
  .map(({ name, file }) => ({
    name: /([^/]+)\.lua$/.exec(name)![1]!,
    lua: readScript(file).replace(/('[^'\n]*')|--.*/g, '$1'),
  }));

type Layout = Record<string, { readonly writers: readonly string[] }>;
const ofScripts = (layout: Layout) =>
  Object.keys(layout).filter(name => layout[name]!.writers.some(writer => !writer.endsWith('.ts')));

/** Keys that a script names. `base` has no other use. */
function keysIn(name: string, lua: string): string[] {
  const named = [...lua.matchAll(/\bbase \.\. '([^']*)'/g)];
  const set = lua.match(/\blocal base\b|^ *base = /gm)!;
  const others = lua.match(/\bbase\b/g)!.length - named.length - set.length;
  expect(others, `${name}: a key whose name does not follow \`base ..\``).toBe(0);
  return named.flatMap(([, key]) => {
    return key!.endsWith(':') ? Object.keys(partitionKeys).filter(one => one.startsWith(`${key}<`)) : key!;
  });
}

interface StateCall {
  readonly command: string;
  readonly fields: string[];
}

/**
 * A script's commands on the state, whose key is `KEYS[1]` or a parameter `stateKey`. All names of fields
 * must be literals.
 */
function stateCallsIn(name: string, lua: string): StateCall[] {
  const calls = [...lua.matchAll(/\bcall\('(\w+)', (?:KEYS\[1\]|stateKey), /g)];
  const rest = lua
    .replaceAll(/sub\((?:KEYS\[1\]|stateKey), 1, -6\)/g, '')
    .replaceAll(/\b\w+\((?:KEYS\[1\]|stateKey), /g, '');
  const others = rest.match(/KEYS\[1\]|\bstateKey\b/g)!.length - calls.length;
  expect(others, `${name}: a use of the state beside its commands`).toBe(0);
  return calls.map(({ index, 0: { length }, 1: command }) => {
    const args = argumentsFrom(lua, index + length);
    const fields = command === 'HSET' ? args.filter((_, at) => at % 2 === 0) : args;
    if (command === 'HINCRBY') fields.length = 1;
    for (const field of fields) expect(field, `${name}: ${command}`).toMatch(/^'\w+'$/);
    return { command: command!, fields: fields.map(field => field.slice(1, -1)) };
  });
}

/** The arguments of a call, up to its closing bracket. */
function argumentsFrom(lua: string, from: number): string[] {
  const args = [''];
  let depth = 0;
  for (const [token] of lua.slice(from).matchAll(/'[^']*'|./gs)) {
    if ('({['.includes(token)) depth++;
    if (')}]'.includes(token) && depth-- === 0) break;
    if (token === ',' && depth === 0) args.push('');
    else args[args.length - 1] += token;
  }
  return args.map(arg => arg.trim());
}

describe('scripts', () => {
  it('name exactly the keys of the layout', () => {
    const named = new Set(
      scripts.filter(({ lua }) => /\bbase\b/.test(lua)).flatMap(({ name, lua }) => keysIn(name, lua)),
    );
    named.add('state');
    expect([...named].sort()).toEqual(ofScripts(partitionKeys).sort());
  });

  it('name exactly the fields of the state', () => {
    const named = new Set(
      scripts.flatMap(({ name, lua }) => stateCallsIn(name, lua).flatMap(({ fields }) => fields)),
    );
    expect([...named].sort()).toEqual(ofScripts(stateFields).sort());
  });

  it('write exactly the fields that the layout lists for them', () => {
    const written = Object.fromEntries(Object.keys(stateFields).map(field => [field, [] as string[]]));
    for (const { name, lua } of scripts)
      for (const { command, fields } of stateCallsIn(name, lua))
        if (!['HGET', 'HMGET'].includes(command)) for (const field of fields) written[field]!.push(name);
    for (const [field, { writers }] of Object.entries(stateFields)) {
      const expected = writers.filter(writer => !writer.endsWith('.ts'));
      expect([...new Set(written[field])].sort(), field).toEqual(expected.toSorted());
    }
  });

  it('end all live values right before they set an epoch', () => {
    const ends = /\bendLive\(\) *\n? *redis\.call\('HSET', (KEYS\[1\]|stateKey), $/;
    for (const { name, lua } of scripts) {
      const code = lua.replace(/\n\s*\n/g, '\n');
      for (const { index, 0: command } of code.matchAll(/\bcall\('HSET', (?:KEYS\[1\]|stateKey), /g)) {
        const after = index + command.length;
        if (!argumentsFrom(code, after).includes("'epoch'")) continue;
        expect(code.slice(0, after), `${name}: the HSET of an epoch`).toMatch(ends);
      }
      if (/\bendLive\(\)/.test(code))
        expect(code).toContain(
          "local function endLive() redis.call('UNLINK', base .. 'live:young', base .. 'live:old') end",
        );
    }
  });
});

it('TypeScript code takes the names of fields from the layout', () => {
  for (const { name, file } of sources('.ts'))
    expect(readFileSync(file, 'utf8'), name).not.toMatch(/\.(hmget|hget|hset|hsetnx|hincrby|hdel)\([^;]*?'/);
});

it('docs/redis-layout.md shows the layout', () => {
  const page = readFileSync(layoutFile, 'utf8');
  expect(page).toBe(layoutPage(page));
});
