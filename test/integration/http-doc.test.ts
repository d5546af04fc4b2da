// The requests of docs/http.md, typed as they stand there, have the answers that stand below them.

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual, promisify } from 'node:util';
import { expect, it } from 'vitest';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { openApi } from '../support/api.ts';
import { openEngine, until } from '../support/engine.ts';

const run = promisify(execFile);
const page = readFileSync(join(import.meta.dirname, '../../docs/http.md'), 'utf8');

interface Typed {
  readonly command: string;
  readonly answers: unknown[];
}

/** Members whose texts differ from run to run; "..." on the page. */
const ANY = new Set(['createdAt', 'next']);

function answered(text: string): unknown {
  return JSON.parse(text, (_, value) => (value === '...' ? expect.any(String) : value));
}

/** The commands that have an answer below them, in their order. */
function commands(): Typed[] {
  const typed: Typed[] = [];
  for (const [, block] of page.matchAll(/```sh\n([\s\S]*?)```/g)) {
    let command = '';
    for (const line of block!.split('\n')) {
      if (line.startsWith('# ')) {
        if (command !== '') typed.push({ command, answers: [] });
        command = '';
        typed.at(-1)!.answers.push(answered(line.slice(2)));
      } else command = line.startsWith('  ') ? `${command}\n${line}` : line;
    }
  }
  return typed;
}

it('each request of the page has the answer below it', async () => {
  const [, definitions] = /echo '(\{.*\})' > sluice\.config\.json/.exec(page)!;
  const engine = await openEngine();
  const given = JSON.parse(definitions!);
  const api = await openApi(engine, {}, { definitions: given });
  const [helper] = /call\(\) \{.*\}/.exec(page)!;
  await engine.worker({}, {}, { definitions: parseDefinitions(given) });
  const typed = commands();
  expect(typed.length).toBeGreaterThan(15);
  for (const { command, answers } of typed) {
    const script = `api=${api.base}/v1\n${helper}\n${command}`;
    const answer = async () => {
      const { stdout } = await run('bash', ['-c', script], { env: { ...process.env, KEY: api.key } });
      return stdout
        .trim()
        .split('\n')
        .map(line => JSON.parse(line));
    };
    // A worker builds ranks and flushes entries in its own time.
    const isLater = /\/(?:top|ranks) |entries -d/.test(command);
    if (isLater) await until(async () => isDeepStrictEqual(shape(await answer()), shape(answers)), command);
    else expect(await answer(), command).toEqual(answers);
  }
});

/** Without the texts that may be any. */
function shape(answers: unknown[]): unknown {
  return JSON.parse(JSON.stringify(answers), (name, value) => (ANY.has(name) ? null : value));
}
