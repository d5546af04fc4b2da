/** The routes that describe the others: the OpenAPI document and the page. */

import { DOCS_POLICY, docsPage } from './docs-page.ts';
import { documentOf, documentText } from './document.ts';
import { type Route, route } from './route.ts';

/** @param routes all others */
export function referenceRoutes(routes: readonly Route[]): Route[] {
  const own: Route[] = [
    route({
      method: 'GET',
      path: '/v1/openapi.json',
      summary: 'The OpenAPI 3.1 document',
      access: 'public',
      shape: {},
      answers: { 200: { description: 'The document' } },
      async handle({ reply }) {
        const { text, tag } = document();
        reply.header('etag', tag).header('cache-control', 'no-cache');
        const known = reply.request.headers['if-none-match'];
        if (known?.split(/\s*,\s*/).some(one => one === tag || one === `W/${tag}` || one === '*'))
          return { status: 304, text: '', type: 'application/json' };
        return { text, type: 'application/json' };
      },
    }),
    route({
      method: 'GET',
      path: '/v1/docs',
      summary: 'This reference as a page',
      access: 'public',
      shape: {},
      answers: { 200: { description: 'The page', type: 'text/html' } },
      async handle({ reply }) {
        reply.header('content-security-policy', DOCS_POLICY).header('x-content-type-options', 'nosniff');
        return { text: docsPage(documentOf(all)), type: 'text/html; charset=utf-8' };
      },
    }),
  ];
  const all = [...routes, ...own];
  let made: ReturnType<typeof documentText> | undefined;
  const document = () => {
    made ??= documentText(all);
    return made;
  };
  return own;
}
