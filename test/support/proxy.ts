/** A TCP proxy before a test's server, for what a network can do: fall silent, refuse, change a command. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { cleanUp } from './cleanup.ts';

interface Pair {
  readonly sockets: readonly [Socket, Socket];
  silent: boolean;
  /** The latest data from the client. */
  last: string;
}

export type Proxy = Awaited<ReturnType<typeof openProxy>>;

/**
 * Opens a proxy; closed after the test.
 * @param change edits what a client sends; the length must stay the same
 * @param distanceMs by how much later a client gets each answer
 */
export async function openProxy(serverUrl: string, change = (data: Buffer) => data, distanceMs = 0) {
  const url = new URL(serverUrl);
  const server = { host: url.hostname, port: Number(url.port) };
  const pairs = new Set<Pair>();
  let next: 'open' | 'silent' | 'refused' = 'open';
  let swallowed = 0;
  let accepted = 0;

  const listener = createServer(client => {
    if (next === 'refused') {
      client.destroy();
      return;
    }
    accepted++;
    const pair: Pair = { sockets: [client, connect(server)], silent: next === 'silent', last: '' };
    pairs.add(pair);
    const [, upstream] = pair.sockets;
    client.on('data', data => {
      pair.last = data.toString('latin1').toLowerCase();
    });
    const join = (from: Socket, to: Socket) => {
      from.on('data', data => {
        if (pair.silent) swallowed += data.length;
        else if (from === client) to.write(change(data));
        else if (distanceMs > 0) setTimeout(() => to.write(data), distanceMs);
        else to.write(data);
      });
      from.on('error', () => {});
      // On a silent connection, the other side does not learn that its peer is gone.
      from.on('close', () => {
        if (!pair.silent) to.destroy();
      });
    };
    join(client, upstream);
    join(upstream, client);
  });
  await new Promise<void>(resolve => listener.listen(0, '127.0.0.1', resolve));

  const destroyAll = () => {
    for (const { sockets } of pairs) for (const socket of sockets) socket.destroy();
    pairs.clear();
  };
  cleanUp(async () => {
    destroyAll();
    await new Promise(resolve => listener.close(resolve));
  });
  url.hostname = '127.0.0.1';
  url.port = String((listener.address() as AddressInfo).port);

  return {
    url: url.toString(),
    /** Bytes that arrived on silent connections and were dropped. */
    get swallowed() {
      return swallowed;
    },
    /** Number of accepted connections. */
    get accepted() {
      return accepted;
    },
    /** Makes open connections silent without closing them; new ones work, or are silent too. */
    silence(newOnes: 'open' | 'silent' = 'open') {
      next = newOnes;
      for (const pair of pairs) pair.silent = true;
    },
    /** Silences only connections whose last command was this one; returns their number. */
    silenceAfter(command: string): number {
      const found = [...pairs].filter(({ last, silent }) => !silent && last.includes(command));
      for (const pair of found) pair.silent = true;
      return found.length;
    },
    /** Closes all connections, and new ones at once. */
    refuse() {
      next = 'refused';
      destroyAll();
    },
    open() {
      next = 'open';
    },
  };
}
