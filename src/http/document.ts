/** The OpenAPI 3.1 document, made from the routes and their schemas. */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { packageVersion } from '../shared/config/version.ts';
import type { Route } from './route.ts';
import { update } from './schemas.ts';

type Json = Record<string, unknown>;

const problem = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe('What happened, to what, and what to do'),
    code: z.string().describe('Stable; docs/http.md lists all'),
    retryable: z.boolean().describe('Whether the same request may succeed later'),
    applied: z
      .enum(['no', 'yes', 'unknown'])
      .describe('Whether it may be in effect. Unless it is "no", repeat it with the same idempotency key'),
    problems: z.array(z.object({ at: z.string(), problem: z.string() })).optional(),
  })
  .meta({ id: 'Problem' });

const ERRORS: Readonly<Record<string, string>> = {
  400: 'Malformed; nothing was applied',
  401: 'No valid key',
  403: 'The key may not do this',
  404: 'Unknown name',
  409: 'Not enough points, a value out of range, or another state that does not allow it',
  413: 'Too large',
  415: 'Wrong content type',
  422: 'The idempotency key was used for other content',
  429: 'Too many requests; Retry-After says how long to wait',
  503: 'Redis or MySQL cannot be used now; Retry-After says how long to wait',
};

/** The document as an object. */
export function documentOf(routes: readonly Route[]): Json {
  const schemas: Json = {};
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    paths[route.path] ??= {};
    paths[route.path]![route.method.toLowerCase()] = operationOf(route, schemas);
  }
  schemaOf(update, schemas);
  const reference = schemaOf(problem, schemas);
  const responses = Object.fromEntries(
    Object.entries(ERRORS).map(([status, description]) => [
      `Problem${status}`,
      { description, content: { 'application/problem+json': { schema: reference } } },
    ]),
  );
  return {
    openapi: '3.1.0',
    info: {
      title: 'Sluice',
      version: packageVersion(),
      description: 'Counters and points: Redis in front, MySQL exactly once in effect.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ key: [] }],
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1))),
      responses,
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'Made by "sluice keys create"' },
      },
    },
  };
}

/** The document as a text, and its tag. */
export function documentText(routes: readonly Route[]): { text: string; tag: string } {
  const text = `${JSON.stringify(documentOf(routes), null, 2)}\n`;
  return { text, tag: `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"` };
}

function operationOf(route: Route, schemas: Json): Json {
  const { method, path, summary, description, access, shape, answers } = route;
  const answered = Object.entries(answers).map(([status, answer]) => {
    const type = answer.type ?? 'application/json';
    const schema = answer.schema ? schemaOf(answer.schema, schemas) : {};
    const content: Json = { [type]: { schema } };
    if (route.stream) content['application/x-ndjson'] = { schema: { type: 'string' } };
    return [status, { description: answer.description, content }];
  });
  const errors = Object.keys(ERRORS)
    .filter(
      status => access !== 'public' && (method === 'POST' || !['409', '413', '415', '422'].includes(status)),
    )
    .map(status => [status, { $ref: `#/components/responses/Problem${status}` }]);
  return {
    operationId: operationId(method, path),
    summary,
    ...(description ? { description } : {}),
    ...(access === 'public' ? { security: [] } : { 'x-scope': access }),
    ...listed('parameters', [...parametersOf(route, schemas), ...headersOf(route)]),
    ...(shape.body ? { requestBody: bodyOf(route, schemas) } : {}),
    responses: Object.fromEntries([...answered, ...errors]),
  };
}

function bodyOf(route: Route, schemas: Json): Json {
  const content: Json = { 'application/json': { schema: schemaOf(route.shape.body!, schemas) } };
  if (route.stream)
    content['application/x-ndjson'] = {
      schema: { type: 'string', description: 'An update a line, up to 64 KiB each, any number of lines' },
    };
  return { required: true, content };
}

function parametersOf({ shape }: Route, schemas: Json): Json[] {
  const of = (schema: z.ZodType | undefined, place: 'path' | 'query') =>
    Object.entries((schema as z.ZodObject | undefined)?.shape ?? {}).map(([name, field]) => {
      const { description, parameter } = metaOf(field as z.ZodType);
      return {
        name,
        in: place,
        required: place === 'path' || !(field as z.ZodType).safeParse(undefined).success,
        ...(description ? { description } : {}),
        schema: parameter ?? withoutDescription(schemaOf(field as z.ZodType, schemas)),
      };
    });
  return [...of(shape.params, 'path'), ...of(shape.query, 'query')];
}

function headersOf({ idempotent, waits }: Route): Json[] {
  const header = (name: string, description: string) => ({
    name,
    in: 'header',
    required: false,
    description,
    schema: { type: 'string' },
  });
  return [
    ...(idempotent
      ? [header('Idempotency-Key', 'A string in quotes, or a token. A repeated request with it counts once')]
      : []),
    ...(waits
      ? [header('Prefer', '`wait=SECONDS` waits for MySQL at most so long, and answers with a receipt')]
      : []),
  ];
}

/** What a field says of itself, or the one inside it. */
function metaOf(field: z.ZodType): { description?: string; parameter?: Json } {
  const inner = (field as { def?: { innerType?: z.ZodType; in?: z.ZodType } }).def;
  const below = inner?.innerType ?? inner?.in;
  return { ...(below ? metaOf(below) : {}), ...(field.meta() as Json | undefined) };
}

/** A schema as JSON. Schemas with an id go to `schemas`, and are referred to. */
function schemaOf(schema: z.ZodType, schemas: Json): Json {
  const made = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Json;
  const { $schema: _, $defs = {}, ...root } = rewritten(made) as Json & { $defs?: Json };
  for (const [name, definition] of Object.entries($defs)) schemas[name] = withoutId(definition as Json);
  const id = schema.meta()?.id as string | undefined;
  if (id === undefined) return root;
  if (!('$ref' in root)) schemas[id] = withoutId(root);
  return { $ref: `#/components/schemas/${id}` };
}

function rewritten(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(rewritten);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) =>
      name === '$ref' && typeof inner === 'string'
        ? [name, inner.replace('#/$defs/', '#/components/schemas/')]
        : [name, rewritten(inner)],
    ),
  );
}

function withoutId({ id: _, ...schema }: Json): Json {
  return schema;
}

function withoutDescription({ description: _, ...schema }: Json): Json {
  return schema;
}

function operationId(method: string, path: string): string {
  const words = path.split('/').flatMap(part => (/^(v1)?$|^\{/.test(part) ? [] : part.split(/\W/)));
  return (
    method.toLowerCase() +
    words.map(word => word[0]!.toUpperCase() + word.slice(1)).join('') +
    (path.includes('{id}') && path.endsWith('}') ? 'ById' : '')
  );
}

function listed(name: string, list: readonly unknown[]): Json {
  return list.length > 0 ? { [name]: list } : {};
}
