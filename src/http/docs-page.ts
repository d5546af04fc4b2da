/** The reference page: the document as HTML that loads nothing and runs nothing. */

type Json = Record<string, unknown>;

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}
h2{margin-top:2.5rem;border-top:1px solid #bbb;padding-top:1rem;font-size:1.1rem}code,pre{font-family:ui-monospace,monospace;font-size:.9rem}
pre{background:#f3f3f3;padding:.8rem;overflow:auto}table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;padding:.2rem 1rem .2rem 0}
@media(prefers-color-scheme:dark){body{color:#e4e4e4;background:#161616}pre{background:#222}a{color:#8ab4f8}}`;

export const DOCS_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export function docsPage(document: Json): string {
  const { info, paths, components } = document as {
    info: { version: string; description: string };
    paths: Record<string, Record<string, Json>>;
    components: { schemas: Record<string, Json> };
  };
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => operationHtml(method, path, operation)),
  );
  const schemas = Object.entries(components.schemas).map(
    ([name, schema]) => `<h2 id="${name}"><code>${name}</code></h2>${jsonHtml(schema)}`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sluice: HTTP API</title><style>${STYLE}</style></head>
<body><h1>Sluice: HTTP API ${escaped(info.version)}</h1><p>${escaped(info.description)}
Each request needs a key: <code>Authorization: Bearer sluice_...</code> The same as data: <a href="openapi.json">openapi.json</a>.</p>
${operations.join('\n')}
<h1>Schemas</h1>
${schemas.join('\n')}
</body></html>
`;
}

function operationHtml(method: string, path: string, operation: Json): string {
  const {
    summary,
    description,
    parameters = [],
    requestBody,
    responses,
  } = operation as {
    summary: string;
    description?: string;
    parameters?: readonly { name: string; in: string; required: boolean; description?: string }[];
    requestBody?: { content: Record<string, { schema: Json }> };
    responses: Record<
      string,
      { description?: string; content?: Record<string, { schema: Json }>; $ref?: string }
    >;
  };
  const rows = parameters.map(
    ({ name, in: place, required, description = '' }) =>
      `<tr><td><code>${escaped(name)}</code></td><td>${place}${required ? ', required' : ''}</td><td>${marked(description)}</td></tr>`,
  );
  const answers = Object.entries(responses).flatMap(([status, { description, content }]) =>
    description
      ? [`<tr><td><code>${status}</code></td><td>${escaped(description)}</td><td>${links(content)}</td></tr>`]
      : [],
  );
  const scope = operation['x-scope'] ? ` Scope: <code>${escaped(String(operation['x-scope']))}</code>.` : '';
  const body = requestBody ? `<p>Body: ${links(requestBody.content)}</p>` : '';
  return `<h2><code>${method.toUpperCase()} ${escaped(path)}</code></h2><p>${escaped(summary)}.${scope}</p>${description ? `<p>${marked(description)}</p>` : ''}${rows.length > 0 ? `<table>${rows.join('')}</table>` : ''}${body}<table>${answers.join('')}</table>`;
}

function links(content: Record<string, { schema: Json }> = {}): string {
  return Object.entries(content)
    .map(([type, { schema }]) => {
      const name = /^#\/components\/schemas\/(\w+)$/.exec(String(schema.$ref ?? ''))?.[1];
      return `<code>${escaped(type)}</code>${name ? ` <a href="#${name}">${name}</a>` : ''}`;
    })
    .join(', ');
}

function jsonHtml(schema: Json): string {
  return `<pre>${escaped(JSON.stringify(schema, null, 2)).replace(
    /&quot;#\/components\/schemas\/(\w+)&quot;/g,
    '<a href="#$1">$1</a>',
  )}</pre>`;
}

function marked(text: string): string {
  return escaped(text).replace(/`([^`]+)`/g, '<code>$1</code>');
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, found => ENTITIES[found]!);
}
