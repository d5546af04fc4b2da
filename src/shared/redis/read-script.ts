/** Reads Lua scripts and expands their shared parts and their reads of the state's fields. */
import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { stateFields } from './layout.ts';

/**
 * Expands two kinds of lines. The code of each stays on one line, so that line numbers in errors of Redis
 * match the file.
 * - `--!include NAME` becomes `lua/NAME.lua`.
 * - `--!read NAME` becomes a local table NAME with the fields of the state that the script uses as
 *   `NAME.field`. An absent text is '', an absent number 0. Without an epoch there is no state.
 *   `--!read NAME from KEY` reads the state under that variable instead of `KEYS[1]`.
 * @throws Error if there is no such part, or no such field in the layout
 */
export function readScript(file: URL): string {
  const name = basename(file.pathname);
  const lua = withParts(readFileSync(file, 'utf8'), name);
  const code = withoutComments(lua);
  return lua.replace(/^ *--!read (\w+)(?: from (\w+))?$/gm, (_, table: string, key = 'KEYS[1]') =>
    reading(table, key, code, name),
  );
}

/** Parts may include others. */
function withParts(lua: string, name: string): string {
  return lua.replace(/^ *--!include (.*)$/gm, (_, part: string) => {
    const source = new URL(`./lua/${part}.lua`, import.meta.url);
    if (!existsSync(source)) throw new Error(`${name} includes "${part}", which does not exist`);
    return withoutComments(withParts(readFileSync(source, 'utf8'), part))
      .trim()
      .replace(/\s*\n\s*/g, ' ');
  });
}

/** Makes a table constructor: adding the fields one after another takes Redis twice as long. */
function reading(table: string, key: string, code: string, script: string): string {
  const uses = code.matchAll(new RegExp(`\\b${table}\\.(\\w+)`, 'g'));
  const fields = [...new Set([...uses].map(([, field]) => field!))];
  const values = fields.map((field, at) => {
    const known = stateFields[field as keyof typeof stateFields];
    if (!known) throw new Error(`${script} uses ${table}.${field}, which is no field of the state`);
    const value = `values[${at + 1}]`;
    return `${field} = ${known.type === 'number' ? `tonumber(${value}) or 0` : `${value} or ''`}`;
  });
  const names = fields.map(field => `'${field}'`).join(', ');
  return `local ${table} do local values = redis.call('HMGET', ${key}, ${names}) ${table} = { ${values.join(', ')} } end`;
}

/** Keeps all line breaks. */
function withoutComments(lua: string): string {
  return lua.replace(/('[^'\n]*')|--.*/g, '$1');
}
