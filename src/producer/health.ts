/** Whether a producer's servers answer: what a service's own health check shows. */
import { within } from '../shared/clock.ts';
import type { Database } from '../shared/mysql.ts';
import type { Primaries } from '../shared/primaries.ts';

type Connection = 'connected' | 'disconnected';

export interface Health {
  readonly redis: Connection;
  readonly database: Connection;
}

/** Above a slow answer, below the patience of whoever asks for a service's health. */
const ANSWER_MS = 2000;

/** Judged by what answers now, on every primary of a Cluster, not by what a connection believes of itself. */
export async function askHealth(primaries: Primaries, database: Database): Promise<Health> {
  const servers = [...primaries.all().values()];
  const pings = Promise.all(servers.map(server => server.ping()));
  const [redis, answer] = await Promise.all([
    within(pings, ANSWER_MS),
    within(database.query('SELECT 1'), ANSWER_MS),
  ]);
  const named = (connected: boolean): Connection => (connected ? 'connected' : 'disconnected');
  // A Cluster that nothing is known of has no primaries, and all of none would have answered.
  return {
    redis: named(servers.length > 0 && redis !== undefined),
    database: named(answer !== undefined),
  };
}
