/** Parameters of a query: each is a list of texts, since a URL may name it several times. */
import * as z from 'zod';

/** One value. */
export const one = z
  .array(z.string())
  .length(1, 'must be given once')
  .transform(([value]) => value!)
  .meta({ parameter: { type: 'string' } });

/** Notes the schema of a parameter for the document: a URL has only texts. */
export function parameter<Schema extends z.ZodType>(schema: Schema, json: Record<string, unknown>): Schema {
  return schema.meta({ parameter: { type: 'string', ...json } });
}

/** One whole number. */
export function digits(from: number, to: number) {
  return parameter(one, { type: 'integer', minimum: from, maximum: to })
    .refine(value => /^\d{1,6}$/.test(value) && Number(value) >= from && Number(value) <= to, {
      message: `must be a whole number from ${from} to ${to}`,
    })
    .transform(Number);
}
