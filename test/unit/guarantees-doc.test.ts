// docs/guarantees.md has each fault of the torture, existing tests, and the report's recoveries;
// docs/input.md has the lengths of texts.

import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { faultsOf } from '../../scripts/torture/faults/catalogue.ts';
import { guaranteesPage } from '../../scripts/torture/report.ts';
import { LIMITS } from '../../src/shared/limits.ts';

const root = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');
const page = read('docs/guarantees.md');
const input = read('docs/input.md');
const rows = [...page.matchAll(/^\| `(\w+)` \| .* \| (.*) \| `(test\/.*)` \|$/gm)];

it('the page has a row for each kind of fault', () => {
  const servers = [
    ['standalone', 'mariadb'],
    ['sentinel', 'mariadb'],
    ['cluster', 'mariadb'],
    ['standalone', 'group-replication'],
    ['standalone', 'galera'],
  ] as const;
  const kinds = servers.flatMap(([topology, database]) =>
    faultsOf(topology, database).map(({ kind }) => kind),
  );
  expect(rows.map(([, kind]) => kind).toSorted()).toEqual([...new Set(kinds)].toSorted());
});

it('docs/input.md gives the lengths of texts', () => {
  const { key, account, id, reason, hold, metadata, depth } = LIMITS;
  expect(new Set([account, id, reason]).size).toBe(1);
  const text = `Keys have 1 to ${key.toLocaleString('en-US')} bytes of UTF-8, accounts, ids and reasons up to ${account}, ids of holds up to ${hold}, metadata up to ${metadata.toLocaleString('en-US')} as JSON and ${depth} levels.`;
  expect(input.replaceAll('\n', ' ')).toContain(text);
});

it('every test that the pages name exists', () => {
  for (const [, path] of (page + input).matchAll(/`(test\/[\w/.-]+)`/g))
    expect(existsSync(new URL(path!, root)), path).toBe(true);
});

it('the page gives the recoveries of the report, and a dash for a kind that the report lacks', () => {
  const report = read('docs/torture-report.md');
  expect(page).toBe(guaranteesPage(page, report));
  const filled = guaranteesPage(page, '| workerKill | 3 | 1.00 | 6.00 |\n| workerKill | 1 | 2.00 | 2.00 |\n');
  expect(filled).toMatch(/^\| `workerKill` .* \| 1\.0 \/ 6\.0 \| `test/m);
  expect(filled).toMatch(/^\| `workerStop` .* \| - \| `test/m);
});
