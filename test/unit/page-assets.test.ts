// The built page: small enough for a slow line at night, and nothing but a fixed list of files.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { PAGE_FILES, PageAssets, VIEWS } from '../../src/console/assets.ts';

/** As test/support/build.ts has built it. */
const folder = fileURLToPath(new URL('../../dist-test/console/page/', import.meta.url));
const page = new PageAssets(folder);

it('is at most 70 KB gzipped in all', () => {
  const sizes = Object.keys(PAGE_FILES).map(name => page.at(`/${name}`)!.gzip.length);
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(70 * 1024);
});

it('serves each file with its type, its bytes and a digest', () => {
  for (const [name, type] of Object.entries(PAGE_FILES)) {
    const asset = page.at(`/${name}`)!;
    expect(asset.type).toBe(type);
    expect(asset.body).toEqual(readFileSync(`${folder}${name}`));
    expect(gunzipSync(asset.gzip)).toEqual(asset.body);
    expect(asset.etag).toMatch(/^"[\w-]{22}"$/);
  }
});

it('shows its index at the address of every view', () => {
  const index = page.at('/index.html');
  for (const path of [...VIEWS, '/operations/7', '/quarantine/12']) expect(page.at(path), path).toBe(index);
});

it.each([
  '/../package.json',
  '/..%2fpackage.json',
  '//app.js',
  '/app.js/',
  '/APP.JS',
  '/index.html/..',
  '/operations/7/x',
  '/operations/-1',
  '/__proto__',
  '/constructor',
  '',
])('has nothing at %j', path => {
  expect(page.at(path)).toBeUndefined();
});

it('loads nothing from elsewhere, and runs no script in its HTML', () => {
  const html = page.at('/')!.body.toString();
  expect(html).not.toMatch(/<style|style=|\son\w+=|<script(?![^>]*src="\/app\.js"><\/script>)/);
  for (const [, address] of html.matchAll(/(?:src|href)="([^"]*)"/g))
    expect(PAGE_FILES).toHaveProperty([address!.slice(1)]);
  expect(page.at('/app.css')!.body.toString()).not.toMatch(/url\((?!data:)|@import/);
});

it('has the runbook of every alert, under the anchors that the documents use', () => {
  const runbook = page.at('/runbook.html')!.body.toString();
  const alerts = readFileSync(new URL('../../deploy/prometheus/alerts.yml', import.meta.url), 'utf8');
  const names = [...alerts.matchAll(/alert: (\w+)/g)].map(([, name]) => name!);
  expect(names.length).toBeGreaterThan(10);
  for (const name of names) expect(runbook).toContain(`<h3 id="${name.toLowerCase()}">${name}</h3>`);
  for (const [, anchor] of runbook.matchAll(/href="#([^"]+)"/g)) expect(runbook).toContain(`id="${anchor}"`);
  expect(runbook).not.toMatch(/<script|style=|```/);
});

it('says what to do if it is not built', () => {
  expect(() => new PageAssets('/nowhere')).toThrow(/npm run build:page/);
});
