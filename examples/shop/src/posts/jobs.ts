/**
 * The jobs of a post: `spread` finds the followers and makes a job `push` for each 500 of them. Each may run twice: a
 * post is in a feed once, and a job with an id that is waiting is not added again.
 */
import type { Job, Queue } from 'bullmq';
import type { RowDataPacket } from 'mysql2/promise';
import { openFeeds } from '../feed/feeds.ts';
import { forgetDue } from '../follows/due.ts';
import { type JobsProcess, runJobs } from '../queues.ts';
import type { Shop } from '../shop.ts';

interface Post {
  readonly id: number;
  readonly user: number;
}
interface Push {
  readonly post: number;
  readonly followers: number[];
}
export type PostJob = Post | Push | Record<string, never>;

const PUSHED = 500;
/** A pipeline of so many commands keeps Redis busy for about a millisecond. */
const PIPELINE = 100;
const SWEEP_MS = 5000;
const FOLLOWERS = 'SELECT follower_id AS id FROM follows WHERE author_id = ? LIMIT ?';
const DUE = `SELECT id, user_id AS user FROM posts
  WHERE is_due AND created_at < CURRENT_TIMESTAMP(3) - INTERVAL 5 SECOND ORDER BY id LIMIT 1000`;

/**
 * One that has used up its attempts is removed at once: the post is due still, and a job that is kept would keep its id,
 * so that the sweep could not add it again.
 */
export const spread = (post: Post) => {
  return { name: 'spread', data: post, opts: { jobId: `spread-${post.id}`, removeOnFail: true } };
};

/** An author with too many followers is read when a feed is read; of the others, each follower's feed gets the post. */
async function spreadPost({ database, settings }: Shop, queue: Queue<PostJob>, job: Job<Post>) {
  const { id, user } = job.data;
  const limit = settings.followersLimit;
  const [rows] = await database.query<RowDataPacket[]>(FOLLOWERS, [user, limit + 1]);
  if (rows.length > limit) {
    await database.query('INSERT IGNORE INTO big_authors (user_id) VALUES (?)', [user]);
  } else {
    const pushes = [];
    for (let at = 0; at < rows.length; at += PUSHED) {
      const followers = rows.slice(at, at + PUSHED).map(row => row.id as number);
      pushes.push({ name: 'push', data: { post: id, followers }, opts: { jobId: `push-${id}-${at}` } });
    }
    await queue.addBulk(pushes);
  }
  // Only now: a crash before this line leaves the post due.
  await database.query('UPDATE posts SET is_due = FALSE WHERE id = ?', [id]);
}

async function pushPost(shop: Shop, job: Job<Push>) {
  const { post, followers } = job.data;
  const feeds = openFeeds(shop);
  for (let at = 0; at < followers.length; at += PIPELINE) {
    await feeds.push(post, followers.slice(at, at + PIPELINE));
    await job.updateProgress({ pushed: Math.min(at + PIPELINE, followers.length), of: followers.length });
  }
}

/** Posts whose process died, or found no Redis, before it added the job. */
async function sweepPosts(shop: Shop, queue: Queue<PostJob>) {
  await forgetDue(shop, openFeeds(shop));
  const [due] = await shop.database.query<RowDataPacket[]>(DUE);
  await queue.addBulk((due as Post[]).map(spread));
}

export async function postJobs(parts: JobsProcess, queue: Queue<PostJob>) {
  const { shop } = parts;
  await queue.upsertJobScheduler('sweep', { every: SWEEP_MS }, { name: 'sweep', data: {} });
  return runJobs<PostJob>(parts, 'posts', 10, job => {
    if (job.name === 'spread') return spreadPost(shop, queue, job as Job<Post>);
    if (job.name === 'push') return pushPost(shop, job as Job<Push>);
    return sweepPosts(shop, queue);
  });
}
