/** Whether a producer's servers answer: what a service's own health check shows. */
import type { Database } from '../shared/mysql.ts';
import type { Primaries } from '../shared/primaries.ts';
import { Question } from '../shared/question.ts';

type Connection = 'connected' | 'disconnected';

export interface Health {
  readonly redis: Connection;
  readonly database: Connection;
}

/** Above a slow answer, below the patience of whoever asks for a service's health. */
const ANSWER_MS = 2000;

/**
 * Gives a function that judges by what answers now, on every primary of a Cluster, not by what a connection believes of
 * itself.
 */
export function healthOf(primaries: Primaries, database: Database): () => Promise<Health> {
  const redis = new Question(async () => {
    const servers = [...primaries.all().values()];
    await Promise.all(servers.map(server => server.ping()));
    // A Cluster that nothing is known of has no primaries, and all of none would have answered.
    return servers.length > 0;
  });
  const mysql = new Question(() => database.query('SELECT 1'));
  return async () => {
    const [ponged, row] = await Promise.all([redis.answer(ANSWER_MS), mysql.answer(ANSWER_MS)]);
    return { redis: named(ponged === true), database: named(row !== undefined) };
  };
}

function named(isConnected: boolean): Connection {
  return isConnected ? 'connected' : 'disconnected';
}
