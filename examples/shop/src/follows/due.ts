/**
 * An outbox of feeds that are to be forgotten after a follow, since MySQL and Redis share no transaction: a process may
 * die after the commit, and the feed would lack the older posts of that author as long as its user looks at it.
 */
import type { ResultSetHeader, RowDataPacket } from 'mysql2/promise';
import type { Feeds } from '../feed/feeds.ts';
import type { Shop } from '../shop.ts';

const FOLLOW = 'INSERT IGNORE INTO follows (author_id, follower_id) VALUES (?, ?)';
const NOTE = 'INSERT INTO follows_due (follower_id) VALUES (?)';
const DUE = `SELECT id, follower_id AS user FROM follows_due
  WHERE created_at < CURRENT_TIMESTAMP(3) - INTERVAL 5 SECOND ORDER BY id LIMIT 1000`;
const DONE = 'DELETE FROM follows_due WHERE id IN (?)';

/** The follow and that its feed is due are one transaction; an error rolls back. */
export function follow({ database }: Shop, author: number, user: number) {
  return database.connected(async query => {
    await query('START TRANSACTION');
    const [{ affectedRows }] = await query<ResultSetHeader>(FOLLOW, [author, user]);
    // A row for each follow: what another one has noted is not its own to remove.
    const [{ insertId }] = await query<ResultSetHeader>(NOTE, [user]);
    await query('COMMIT');
    return { isNew: affectedRows === 1, due: insertId };
  });
}

export async function forget({ database }: Shop, feeds: Feeds, user: number, due: number): Promise<void> {
  await feeds.forget(user);
  await database.query(DONE, [[due]]);
}

/** Those whose process died, or found no Redis. */
export async function forgetDue({ database }: Shop, feeds: Feeds): Promise<void> {
  const [due] = await database.query<RowDataPacket[]>(DUE);
  for (const user of new Set(due.map(row => row.user as number))) await feeds.forget(user);
  if (due.length > 0) await database.query(DONE, [due.map(row => row.id)]);
}
