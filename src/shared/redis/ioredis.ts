/**
 * What ioredis lacks: one write for what a turn sends, a new attempt where it gives up by itself, and an end to waiting for a
 * Cluster's node that stands still.
 */
import { Cluster, type Redis } from 'ioredis';
import { keepCurrent, type Password } from '../password.ts';

/** Whoever owes an answer for so long, and sends nothing else, may have been replaced. */
const SILENT_MS = 1000;
/** How long until it is asked again, as the promotion may still be to come. */
const AGAIN_MS = 500;
const LOOK_MS = 250;
/** Their answers may take as long as they like. */
const BLOCKING: ReadonlySet<string> = new Set(['bzpopmin', 'brpoplpush', 'blmove', 'xread']);

/** What ioredis keeps of commands that were sent and not answered. */
interface Owing {
  readonly commandQueue?: { peekFront(): { command: { name: string } } | undefined };
}

/** ioredis copies the options for connections to nodes when the Cluster is made, and reads this copy. */
interface Pooled {
  readonly connectionPool: { readonly redisOptions: object };
}

/** @param password of a Cluster's nodes; elsewhere a GuardedRedis reads it anew by itself */
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
 * Lets what a turn of the event loop sends leave in one write. ioredis writes each command by itself, which costs both
 * ends more than a small call; its own auto-pipelining would not send a script again that Redis has forgotten.
 */
function gatherWrites(connection: Redis): void {
  const send = connection.sendCommand.bind(connection);
  connection.sendCommand = (command, stream) => {
    const socket = connection.stream;
    if (socket?.writableCorked === 0) {
      socket.cork();
      // Behind the microtasks, in which the answers of this turn lead to the next calls.
      queueMicrotask(() => process.nextTick(() => socket.uncork()));
    }
    return send(command, stream);
  };
}

const REVIVE_MS = 50;

/**
 * Connects anew where ioredis gives up by itself: told of a failover while it is just connecting, its detector takes the
 * attempt for one that was ended on purpose, and the connection would stay dead.
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
 * Reads a Cluster's layout anew where a node is silent. ioredis then leaves a node that was replaced, and sends what it
 * owed to the new one; a node that is only slow stays as it is.
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

/** BullMQ's copy waits for jobs, so its own silence says nothing: it looks anew when the original has left a node. */
function followLayout(copy: Cluster, original: Cluster): void {
  const refresh = () => copy.refreshSlotsCache();
  original.on('-node', refresh);
  copy.on('end', () => original.off('-node', refresh));
}
