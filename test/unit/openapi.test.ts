// The OpenAPI document: committed as the code makes it, with every route of the server and no other.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { openApiFile } from '../../scripts/generate.ts';
import { docsPage } from '../../src/http/docs-page.ts';
import { documentText } from '../../src/http/document.ts';
import { STATUS } from '../../src/http/problem.ts';
import { routes } from '../../src/http/routes.ts';

const committed = readFileSync(openApiFile, 'utf8');
const document = JSON.parse(committed);

it('is what the code makes; npm run generate writes it', () => {
  expect(committed).toBe(documentText(routes).text);
});

it('has every route, with all statuses of its errors', () => {
  const documented = Object.entries<object>(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => `${method.toUpperCase()} ${path}`),
  );
  expect(documented.toSorted()).toEqual(routes.map(({ method, path }) => `${method} ${path}`).toSorted());
  const ids = Object.values<Record<string, { operationId: string }>>(document.paths).flatMap(methods =>
    Object.values(methods).map(({ operationId }) => operationId),
  );
  expect(new Set(ids).size).toBe(ids.length);
  const statuses = Object.keys(document.components.responses).map(name =>
    Number(name.slice('Problem'.length)),
  );
  // The others are about HTTP itself, or about paths that are not in the document.
  const own = new Set([...Object.values(STATUS), 503].filter(status => ![405, 408].includes(status)));
  expect(statuses.toSorted((a, b) => a - b)).toEqual([...own].toSorted((a, b) => a - b));
});

it('refers only to schemas that it has', () => {
  for (const [, name] of committed.matchAll(/"#\/components\/(\w+\/\w+)"/g)) {
    const [kind, schema] = name!.split('/');
    expect(document.components[kind!], name).toHaveProperty(schema!);
  }
});

it('the types of the client are made from this document', () => {
  const types = readFileSync(new URL('../../examples/http/api-types.ts', import.meta.url), 'utf8');
  for (const { path } of routes) expect(types).toContain(`"${path}": {`);
  for (const name of Object.keys(document.components.schemas)) expect(types).toContain(`        ${name}: `);
});

it('the page shows every route and loads nothing', () => {
  const page = docsPage(document);
  for (const { method, path } of routes) expect(page).toContain(`<code>${method} ${path}</code>`);
  expect(page).not.toMatch(/<script|\bsrc=|<link|@import|url\(|https?:/);
});
