// The rules of ARCHITECTURE.md: which folder may import which, and which file may read the environment.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../../src');
const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter(name => /\.tsx?$/.test(name))
  .map(name => ({ name, text: readFileSync(join(root, name), 'utf8') }));

const allowed: Record<string, string[]> = {
  producer: ['producer', 'shared'],
  worker: ['worker', 'shared'],
  shared: ['shared'],
  recovery: ['recovery', 'shared'],
  replay: ['replay', 'producer', 'worker', 'shared'],
  backfill: ['backfill', 'replay', 'producer', 'shared'],
  http: ['http', 'replay', 'recovery', 'producer', 'shared'],
  console: ['console', 'http', 'replay', 'recovery', 'producer', 'shared'],
  cli: ['cli', 'console', 'backfill', 'http', 'replay', 'recovery', 'producer', 'worker', 'shared'],
};

/** The folders of shared from the ground up: each may import those before it. */
const FLOORS = ['mysql', 'redis', 'config', 'updates', 'telemetry', 'partition', 'values', 'ranks'];
/** They speak of both servers, so they stand above the floors that they name. */
const ABOVE = ['shared/explain.ts', 'shared/start-checks.ts', 'shared/open-servers.ts'];

it('imports go producer -> shared <- worker; only replay and the command line compose', () => {
  for (const { name, text } of files) {
    const folder = name.split('/')[0]!;
    for (const [, path] of text.matchAll(/from '(\.[^']+)'/g)) {
      const target = join(dirname(name), path!).split('/')[0]!;
      expect(allowed[folder], `${name} imports ${path}`).toContain(target);
    }
  }
});

it('the page of the console knows nothing of the rest but the types of its answers', () => {
  for (const { name, text } of files.filter(file => file.name.startsWith('console/page/')))
    for (const [, isType, path] of text.matchAll(/^(?:import|export)(?: (type))?[^;]*?'(\.[^']+)';/gm)) {
      const target = join(dirname(name), path!);
      if (!target.startsWith('console/page/'))
        expect([target, isType], name).toEqual(['console/answers.ts', 'type']);
    }
});

/** Packages that a file loads, with all that it imports; not what it imports later, when a command runs. */
function packagesOf(entry: string, seen = new Set<string>()): Set<string> {
  const packages = new Set<string>();
  if (seen.has(entry)) return packages;
  seen.add(entry);
  const { text } = files.find(({ name }) => name === entry)!;
  for (const [, isType, path] of text.matchAll(/^(?:import|export)(?: (type))?[^;]*?'([^']+)';/gm)) {
    if (isType) continue;
    if (!path!.startsWith('.')) packages.add(path!);
    else for (const one of packagesOf(join(dirname(entry), path!), seen)) packages.add(one);
  }
  return packages;
}

it('only the server of the HTTP API loads its libraries', () => {
  for (const entry of ['producer', 'worker', 'replay']) {
    const loaded = packagesOf(`${entry}/index.ts`);
    expect([...loaded]).toContain('ioredis');
    expect([...loaded].filter(name => /^(fastify|limiter)/.test(name))).toEqual([]);
  }
  for (const command of ['program', 'worker', 'keys', 'ingest'])
    expect([...packagesOf(`cli/${command}.ts`)].filter(name => /^(fastify|limiter)/.test(name))).toEqual([]);
  expect([...packagesOf('cli/serve.ts')]).toContain('fastify');
});

it('scripts do not import from bench', () => {
  const scripts = join(root, '../scripts');
  for (const name of readdirSync(scripts, { recursive: true, encoding: 'utf8' }).filter(name =>
    name.endsWith('.ts'),
  ))
    expect(readFileSync(join(scripts, name), 'utf8'), name).not.toMatch(/from '(?:\.\.\/)+bench\//);
});

it('a folder of shared imports no folder above it, and a file beside the folders none of them', () => {
  const floorOf = (name: string) => FLOORS.indexOf(name.split('/').slice(1, -1)[0] ?? '');
  for (const { name, text } of files.filter(file => file.name.startsWith('shared/'))) {
    expect(floorOf(name) >= 0 || name.split('/').length === 2, `${name} is on no floor`).toBe(true);
    if (ABOVE.includes(name)) continue;
    for (const [, path] of text.matchAll(/from '(\.[^']+)'/g)) {
      const target = join(name, '..', path!);
      expect(floorOf(target), `${name} imports ${target}`).toBeLessThanOrEqual(floorOf(name));
    }
  }
});

it('only config.ts and the command line read the environment', () => {
  const readers = files.filter(({ text }) => text.includes('process.env')).map(({ name }) => name);
  expect(readers.filter(name => !name.startsWith('cli/'))).toEqual([]);
});

it('every file begins with its purpose', () => {
  for (const { name, text } of files) expect(text.replace(/^#!.*\n/, ''), name).toMatch(/^\/\*\*/);
});

it('every script and statement is called by exactly one file', () => {
  const others = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(name =>
    /\.(lua|sql)$/.test(name),
  );
  // Several scripts share the parts in redis/lua.
  for (const name of others.filter(name => !/migrations\/|redis\/lua\//.test(name))) {
    const base = name.split('/').at(-1)!;
    const stem = base.replace(/^mapped-|\.sql$/g, '');
    const callers = files.filter(({ text }) => text.includes(`/${base}`) || text.includes(`sql('${stem}')`));
    expect(
      callers.length,
      `${name} is called by ${callers.map(file => file.name).join(', ') || 'nobody'}`,
    ).toBe(1);
  }
});

it('statements take the lengths of texts from LIMITS', () => {
  const statements = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
    name => name.endsWith('.sql') && !name.includes('migrations/'),
  );
  for (const name of statements)
    expect(readFileSync(join(root, name), 'utf8'), name).not.toMatch(/\bVAR(?:CHAR|BINARY)\(\d/);
});

it('ARCHITECTURE.md names exactly the files of every folder of src', () => {
  const page = readFileSync(join(root, '../ARCHITECTURE.md'), 'utf8');
  const code = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(name =>
    /\.(tsx?|lua|sql|css|html|svg)$/.test(name),
  );
  const folders = Map.groupBy(code, name => dirname(name).replace(/\/sql$/, ''));
  folders.delete('shared/mysql/migrations');
  for (const [folder, there] of folders) {
    const map = new RegExp(`\\| \`src/${folder}\` \\|[^]*?\\n\\n`).exec(page)?.[0] ?? '';
    const named = [...map.matchAll(/`([^`/]+\.(?:tsx?|lua|sql|css|html|svg))`/g)].map(([, name]) => name!);
    expect(named.toSorted(), folder).toEqual(there.map(name => basename(name)).toSorted());
  }
  for (const [, path] of page.matchAll(/`((?:src|test|scripts|deploy|examples|bench)(?:\/[^` ]+)?)`/g))
    expect(existsSync(join(root, '..', path!)), path).toBe(true);
});
