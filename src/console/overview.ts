/** The routes of samples: the latest one, the last hour, and the stream of new ones. */
import * as z from 'zod';
import { digits } from '../http/parameters.ts';
import type { Overview } from './answers.ts';
import { sendEvents } from './events.ts';
import { prometheusHistory } from './prometheus.ts';
import { type Route, route } from './route.ts';

const HOUR = 60;

export const overviewRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/overview',
    role: 'viewer',
    shape: {},
    async handle(_, { sampler }) {
      const body: Overview = { sample: sampler.latest ?? null };
      return { body };
    },
  }),
  route({
    method: 'GET',
    path: '/api/history',
    role: 'viewer',
    shape: { query: z.strictObject({ minutes: digits(1, 24 * 60).optional() }) },
    async handle({ query: { minutes = HOUR } }, { sampler, config, log }) {
      const { prometheus } = config.console;
      const known = prometheus && (await prometheusHistory(prometheus, minutes, log));
      return { body: known ?? sampler.history(Math.min(HOUR, minutes)) };
    },
  }),
  route({
    method: 'GET',
    path: '/api/events',
    role: 'viewer',
    shape: {},
    async handle({ reply, isStillAllowed, closing }, { sampler }) {
      sendEvents(reply, sampler, isStillAllowed, closing);
      return undefined;
    },
  }),
];
