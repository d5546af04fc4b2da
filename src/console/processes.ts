/** The route of processes that are alive, and of what they do not agree on. */

import { definitionsDigest } from '../shared/config/process-facts.ts';
import { type KnownProcess, readProcesses, SILENT_SECONDS } from '../shared/redis/heartbeat.ts';
import type { Processes } from './answers.ts';
import { type Route, route } from './route.ts';

export const processRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/processes',
    role: 'viewer',
    shape: {},
    async handle(_call, { servers, definitions }) {
      const { redis, keys } = servers();
      const processes = await readProcesses(redis, keys);
      const answer: Processes = {
        processes,
        definitions: definitionsDigest(definitions),
        disagreements: disagreements(processes),
      };
      return { body: answer };
    },
  }),
];

type Disagreement = Processes['disagreements'][number];

/** A silent process has most likely ended without a word, so it does not count. */
function disagreements(processes: readonly KnownProcess[]): Disagreement[] {
  const alive = processes.filter(({ silentSeconds }) => silentSeconds <= SILENT_SECONDS);
  const found = [...differing('definitions', alive, ({ definitions }) => definitions)];
  for (const [role, some] of Map.groupBy(alive, ({ role }) => role)) {
    const names = new Set(some.flatMap(({ settings }) => Object.keys(settings)));
    const of = (name: string, suffix: string) => `${name} (${role}${suffix})`;
    found.push(...differing(of('version', ''), some, ({ version }) => version));
    for (const name of names)
      found.push(
        ...differing(of(name, ''), some, ({ settings }) =>
          Object.hasOwn(settings, name) ? settings[name]! : 'not set',
        ),
      );
  }
  return found;
}

function differing(
  what: string,
  processes: readonly KnownProcess[],
  read: (process: KnownProcess) => string,
): Disagreement[] {
  const groups = Map.groupBy(processes, read);
  if (groups.size < 2) return [];
  const values = Object.fromEntries([...groups].map(([value, some]) => [value, some.map(({ id }) => id)]));
  return [{ what, values }];
}
