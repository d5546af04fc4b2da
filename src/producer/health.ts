/** Whether a producer's servers answer, for the health check of a service. */
import type { Database } from '../shared/mysql/database.ts';
import { Question } from '../shared/question.ts';
import type { Primaries } from '../shared/redis/primaries.ts';

type Connection = 'connected' | 'disconnected';

export interface Health {
  readonly redis: Connection;
  readonly database: Connection;
}

/** Longer than a slow answer, shorter than the usual timeout of a health check. */
const ANSWER_MS = 2000;

/**
 * Asks every primary and the database each time: a connection may look usable although its server is gone.
 */
export function healthOf(primaries: Primaries, database: Database): () => Promise<Health> {
  const redis = new Question(async () => {
    const servers = [...primaries.all().values()];
    await Promise.all(servers.map(server => server.ping()));
    // A Cluster whose nodes are not known yet has no primaries to ask.
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
