/**
 * Extends ioredis: one write for all commands of a turn, a new attempt after it gives up by itself, and no
 * endless wait for a frozen node of a Cluster.
 */
import { Cluster, type Redis } from 'ioredis';
import { keepCurrent, type Password } from '../password.ts';

/** A node that owes an answer and sends nothing for this long may have been replaced, ms. */
const SILENT_MS = 1000;
/** Time until the layout is read again, ms: the promotion may still be to come. */
const AGAIN_MS = 500;
const LOOK_MS = 250;
/** Answers to these commands may take long. */
const BLOCKING: ReadonlySet<string> = new Set(['bzpopmin', 'brpoplpush', 'blmove', 'xread']);

/** ioredis' queue of commands that were sent and not answered. */
interface Owing {
  readonly commandQueue?: { peekFront(): { command: { name: string } } | undefined };
}

/** ioredis copies the options of node connections when the Cluster is created, and reads the copy. */
interface Pooled {
  readonly connectionPool: { readonly redisOptions: object };
}

/** @param password of a Cluster's nodes; a GuardedRedis reads its password itself */
export function mend(connection: Redis | Cluster, hasSentinels: boolean, password?: Password): void {
  if (connection instanceof Cluster) {
    connection.on('+node', gatherWrites);
    keepCurrent((connection as unknown as Pooled).connectionPool.redisOptions, 'password', password);
    leaveSilentNodes(connection);
    const duplicate = connection.duplicate.bind(connection);
    connection.duplicate = (...args) => {
      const copy = duplicate(...args);
      keepCurrent((copy as unknown as Pooled).connectionPool.redisOptions, 'password', password);
      followLayout(copy, connection);
      return copy;
    };
  } else {
    gatherWrites(connection);
    if (hasSentinels) revive(connection);
  }
}

/**
 * Sends all commands of a turn of the event loop in one write. ioredis writes each command separately, which
 * costs both ends more than a small call. Its own auto-pipelining would not resend a script that Redis has
 * forgotten.
 */
function gatherWrites(connection: Redis): void {
  const send = connection.sendCommand.bind(connection);
  connection.sendCommand = (command, stream) => {
    const socket = connection.stream;
    if (socket?.writableCorked === 0) {
      socket.cork();
      // After the microtasks, in which answers of this turn lead to further calls.
      queueMicrotask(() => process.nextTick(() => socket.uncork()));
    }
    return send(command, stream);
  };
}

const REVIVE_MS = 50;

/**
 * Reconnects after ioredis gives up by itself: if a failover is announced while it connects, its detector
 * ends the attempt as if `disconnect` had been called, and the connection would stay dead.
 */
function revive(connection: Redis): void {
  const disconnect = connection.disconnect.bind(connection);
  let isClosed = false;
  connection.disconnect = (reconnect = false) => {
    if (!reconnect) isClosed = true;
    disconnect(reconnect);
  };
  connection.on('end', () => {
    setTimeout(() => {
      if (!isClosed) connection.connect().catch(() => {});
    }, REVIVE_MS);
  });
}

/**
 * Reads a Cluster's layout again while a node is silent. If the node was replaced, ioredis then leaves it and
 * resends its unanswered commands to the new one. A node that is only slow is kept.
 */
function leaveSilentNodes(cluster: Cluster): void {
  const heard = new WeakMap<Redis, { bytes: number; at: number }>();
  const look = () => {
    const now = performance.now();
    for (const node of cluster.nodes()) {
      const last = heard.get(node);
      const bytes = node.stream?.bytesRead ?? 0;
      if (!last || last.bytes !== bytes || !owes(node)) heard.set(node, { bytes, at: now });
      else if (now - last.at >= SILENT_MS) {
        last.at += AGAIN_MS;
        cluster.refreshSlotsCache();
      }
    }
  };
  let timer: NodeJS.Timeout | undefined;
  cluster.on('connect', () => {
    timer ??= setInterval(look, LOOK_MS).unref();
  });
  cluster.on('end', () => {
    clearInterval(timer);
    timer = undefined;
  });
}

function owes(node: Redis): boolean {
  const first = (node as unknown as Owing).commandQueue?.peekFront();
  return first !== undefined && !BLOCKING.has(first.command.name);
}

/** BullMQ's copy blocks for jobs, so its silence tells nothing. Refreshes when the original leaves a node. */
function followLayout(copy: Cluster, original: Cluster): void {
  const refresh = () => copy.refreshSlotsCache();
  original.on('-node', refresh);
  copy.on('end', () => original.off('-node', refresh));
}
