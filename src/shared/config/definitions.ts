/** The definitions: which counters, programs and values there are, and where they go. */
import * as z from 'zod';
import { ConfigurationError } from '../errors.ts';
import { byValue, DuplicateKeyError, parseExact } from '../exact-json.ts';
import { KEEPS, type Keep, type Kind, type ValueKind } from '../item.ts';
import { LIMITS } from '../limits.ts';
import { closest } from './suggestion.ts';
import { counterTarget, programTarget, TARGET_FIELDS } from './target.ts';
import { NotUtf8, readTextFile } from './text-file.ts';

const name = z
  .string()
  .regex(
    new RegExp(`^[A-Za-z][A-Za-z0-9_.-]{0,${LIMITS.name - 1}}$`),
    `must start with a letter and hold only letters, digits, "_", "." and "-", ${LIMITS.name} at most`,
  );
const safeInteger = z
  .int({ error: 'must be a whole number from -(2^53-1) to 2^53-1' })
  .min(Number.MIN_SAFE_INTEGER)
  .max(Number.MAX_SAFE_INTEGER);
const backpressure = z
  .enum(['reject', 'wait'])
  .default('reject')
  .describe(
    'What to do with an update that meets a limit of its partition: reject it at once, or let it wait for a bounded time',
  );
const ranked = z
  .boolean()
  .default(false)
  .describe('Whether its keys have ranks: a worker keeps a board in Redis, about 130 bytes a key');
const counterSchema = z.strictObject({ target: counterTarget.optional(), ranked, backpressure });
const programSchema = z.strictObject({
  floor: safeInteger.default(0).describe('Lowest balance that an accepted debit may lead to'),
  target: programTarget.optional(),
  ranked,
  backpressure,
});
const valueSchema = z.strictObject({
  keep: z
    .enum(Object.keys(KEEPS) as [Keep, ...Keep[]], { error: 'must be "max", "min" or "last"' })
    .describe('Which put is kept: the greatest, the least, or the last'),
  target: counterTarget.optional(),
  ranked,
  backpressure,
});

/** Schema of `sluice.config.json`; published as `sluice/config.schema.json`. */
export const definitionsSchema = z.strictObject({
  $schema: z.string().optional(),
  counters: z.record(name, counterSchema).default({}).describe('Counters by name'),
  points: z.record(name, programSchema).default({}).describe('Points programs by name'),
  values: z.record(name, valueSchema).default({}).describe('Values by name, of which one put is kept'),
});

/** Definitions as users write them. */
export type DefinitionsInput = Imported<z.input<typeof definitionsSchema>>;
/** TypeScript takes `"max"` of an imported JSON file for any string. Which ones are allowed is checked at start. */
type Imported<Value> = Value extends string
  ? string extends Value
    ? Value
    : Value | (string & {})
  : Value extends readonly (infer Item)[]
    ? readonly Imported<Item>[]
    : Value extends object
      ? { [Key in keyof Value]: Imported<Value[Key]> }
      : Value;
/** Definitions with every default filled in. */
export type Definitions = z.output<typeof definitionsSchema>;

/** The kind of a defined value. */
export function kindOfValue(name: string, { values }: Definitions): ValueKind {
  return KEEPS[values[name]!.keep];
}

/** What all definitions have in common, for a name of this kind; undefined if it is not defined. */
export function definitionOf(
  kind: Kind,
  name: string,
  { counters, points, values }: Definitions,
): Pick<Definitions['counters'][string], 'target' | 'ranked' | 'backpressure'> | undefined {
  const named = kind === 'c' ? counters : kind === 'p' ? points : values;
  if (!Object.hasOwn(named, name)) return undefined;
  const isOther = named === values && KEEPS[values[name]!.keep] !== kind;
  return isOther ? undefined : named[name];
}

/** All defined names with their kinds. */
export function definedNames({ counters, points, values }: Definitions): { kind: Kind; name: string }[] {
  return [
    ...Object.keys(counters).map(name => ({ kind: 'c', name }) as const),
    ...Object.keys(points).map(name => ({ kind: 'p', name }) as const),
    ...Object.entries(values).map(([name, { keep }]) => ({ kind: KEEPS[keep], name })),
  ];
}

/**
 * Gives TypeScript the declared names, so that `counter('page_veiws')` does not compile.
 * @throws ConfigurationError if the definitions are malformed
 */
export function defineConfig<const D extends DefinitionsInput>(definitions: D): D {
  parseDefinitions(definitions);
  return definitions;
}

/** @throws ConfigurationError that names everything wrong, with the nearest known key for a misspelt one */
export function parseDefinitions(input: unknown, where = 'definitions'): Definitions {
  const parsed = definitionsSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(issue => {
    const path = issue.path.length > 0 ? issue.path.join('.') : 'the top level';
    if (issue.code === 'unrecognized_keys') return `${path}: ${unknownKeys(issue.keys, issue.path)}`;
    return `${path}: ${issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message}`;
  });
  throw new ConfigurationError(`${where} is not valid: ${problems.join('; ')}.`);
}

function unknownKeys(keys: readonly string[], path: readonly PropertyKey[]): string {
  const known =
    path.length === 0
      ? ['counters', 'points', 'values']
      : path.at(-1) === 'target'
        ? TARGET_FIELDS
        : ['floor', 'keep', 'target', 'ranked', 'backpressure'];
  return keys
    .map(key => {
      const nearest = closest(key, known);
      return `unknown key ${JSON.stringify(key)}${nearest ? `, did you mean "${nearest}"?` : ''}`;
    })
    .join(', ');
}

/** @throws ConfigurationError if the file is missing, is not JSON, or is not valid */
export function readDefinitions(path: string): Definitions {
  let text: string;
  try {
    text = readTextFile(path);
  } catch (cause) {
    if (cause instanceof NotUtf8)
      throw new ConfigurationError(`The definitions file ${path} ${cause.message}.`, { cause });
    throw new ConfigurationError(
      `The definitions file ${path} cannot be read; create it or name another with SLUICE_CONFIG.`,
      { cause },
    );
  }
  let json: unknown;
  try {
    json = parseExact(text, byValue);
  } catch (cause) {
    const problem = cause instanceof DuplicateKeyError ? 'not valid' : 'not JSON';
    throw new ConfigurationError(`${path} is ${problem}: ${(cause as Error).message}.`, { cause });
  }
  return parseDefinitions(json, path);
}
