/** Lua scripts as Redis gets them: with the parts that several share, and with the fields of the state by their names. */
import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { stateFields } from './layout.ts';

/**
 * Puts code in place of two kinds of lines. It stands on one line, so that the numbers of lines in errors of Redis are those
 * of the file.
 * - `--!include NAME` becomes `lua/NAME.lua`.
 * - `--!read NAME` becomes a local NAME with all fields of the state that the script uses as `NAME.field`, numbers as numbers.
 *   A text that is absent is '', a number 0. Without an epoch there is no state.
 * @throws Error if there is no such part, or no such field in the layout
 */
export function readScript(file: URL): string {
  const name = basename(file.pathname);
  const lua = readFileSync(file, 'utf8').replace(/^ *--!include (.*)$/gm, (_, part: string) => {
    const source = new URL(`./lua/${part}.lua`, import.meta.url);
    if (!existsSync(source)) throw new Error(`${name} includes "${part}", which does not exist`);
    return withoutComments(readFileSync(source, 'utf8'))
      .trim()
      .replace(/\s*\n\s*/g, ' ');
  });
  const code = withoutComments(lua);
  return lua.replace(/^ *--!read (\w+)$/gm, (_, table: string) => reading(table, code, name));
}

/** A table constructor: Redis takes twice as long if fields are added one after another. */
function reading(table: string, code: string, script: string): string {
  const uses = code.matchAll(new RegExp(`\\b${table}\\.(\\w+)`, 'g'));
  const fields = [...new Set([...uses].map(([, field]) => field!))];
  const values = fields.map((field, at) => {
    const known = stateFields[field as keyof typeof stateFields];
    if (!known) throw new Error(`${script} uses ${table}.${field}, which is no field of the state`);
    const value = `values[${at + 1}]`;
    return `${field} = ${known.type === 'number' ? `tonumber(${value}) or 0` : `${value} or ''`}`;
  });
  const names = fields.map(field => `'${field}'`).join(', ');
  return `local ${table} do local values = redis.call('HMGET', KEYS[1], ${names}) ${table} = { ${values.join(', ')} } end`;
}

/** Leaves lines where they are. */
function withoutComments(lua: string): string {
  return lua.replace(/('[^'\n]*')|--.*/g, '$1');
}
