/** `GET /rates/:currency`, from an API of somebody else. `rates.ts` says what is around the call. */
import { HttpError } from '../errors.ts';
import type { Part } from '../shop.ts';
import { outsideRates, type Rate } from './rates.ts';

interface RateRoute {
  Params: { currency: string };
}

const params = { type: 'object', properties: { currency: { type: 'string', pattern: '^[A-Z]{3}$' } } };
const schema = { summary: 'What a euro costs; marked if it is old', tags: ['outside'], params };

export const outside: Part = (api, { cache, settings }) => {
  const load = outsideRates(settings);

  api.get<RateRoute>('/rates/:currency', { schema }, async (request, reply) => {
    const { currency } = request.params;
    const item = { kind: 'rate', id: currency, tags: ['rates'], load: () => load(currency) } as const;
    const { value, result } = await cache.read<Rate>(item).catch((err: unknown) => {
      request.log.warn({ err }, 'the API of rates gives no answer, and none is in the cache');
      throw new HttpError(503, 'RATES_UNAVAILABLE', 'This rate is not known now.', 2);
    });
    reply.header('x-cache', result);
    if (!value) throw new HttpError(404, 'UNKNOWN_CURRENCY', 'There is no such currency.');
    return { currency, ...value, stale: result === 'STALE' };
  });
};
