/**
 * A TCP proxy before a server, for what a network can do: delay, hold back for a while, and cut a connection
 * just before a request reaches the server or just after it, so that the answer is lost.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** Time that the server has to run a request before its connection is cut. */
const runTime = 20;

interface Cut {
  readonly request: Buffer;
  readonly when: 'before' | 'after';
  /** Number of requests to let pass first. */
  skip: number;
  readonly done: (happened: boolean) => void;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Undefined until the connection's owner is known. */
  line: Line | undefined;
  /** Drops the answers from now on. */
  mute: boolean;
}

/** Connections with the same fate, through one proxy or several. */
export class Line {
  /** Delays each direction by this time until 0 is set. */
  delayMs = 0;
  #heldUntil = 0;
  #cut: Cut | undefined;

  /** Holds everything back for this time. */
  hold(ms: number): void {
    this.#heldUntil = Date.now() + ms;
  }

  /** Time at which data that arrives now is passed on. */
  get due(): number {
    return Math.max(this.#heldUntil, this.delayMs > 0 ? Date.now() + this.delayMs : 0);
  }

  /** Cuts the next connection that sends the request; resolves with false if none does within the limit. */
  cutNext(request: string, when: 'before' | 'after', skip: number, limitMs: number): Promise<boolean> {
    return new Promise(resolve => {
      const timer = setTimeout(() => cut.done(false), limitMs);
      const cut: Cut = {
        request: Buffer.from(request),
        when,
        skip,
        done: happened => {
          clearTimeout(timer);
          if (this.#cut === cut) this.#cut = undefined;
          resolve(happened);
        },
      };
      this.#cut = cut;
    });
  }

  /** Whether the data must not be passed on. */
  isCut(pair: Pair, data: Buffer): boolean {
    const cut = this.#cut;
    if (!cut || !(data.includes(cut.request) || data.includes(cut.request.toString().toUpperCase())))
      return false;
    if (cut.skip-- > 0) return false;
    if (cut.when === 'before') {
      destroy(pair);
      cut.done(true);
      return true;
    }
    pair.mute = true;
    this.#cut = undefined;
    // An answer shows that the server has run the request; one connection may have several in flight.
    pair.server.once('data', () =>
      setTimeout(() => {
        destroy(pair);
        cut.done(true);
      }, runTime),
    );
    pair.server.once('close', () => cut.done(true));
    return false;
  }
}

/**
 * Tells the owner of a connection by what it sends. Called for each request, since a later one may tell more.
 */
export type Classify = (request: Buffer, before: Line | undefined) => Line | undefined;

export class TcpProxy {
  readonly port: number;
  readonly #listener: Server;
  readonly #pairs = new Set<Pair>();
  readonly #classify: Classify;

  private constructor(listener: Server, serverPort: number, classify: Classify) {
    this.#listener = listener;
    this.#classify = classify;
    this.port = (listener.address() as AddressInfo).port;
    listener.on('connection', client => this.#join(client, serverPort));
  }

  /** @param line of all connections, or a function that tells it for each */
  static async open(serverPort: number, line: Line | Classify = new Line()): Promise<TcpProxy> {
    // A socket that ends its side waits for the other one, which may be frozen.
    const listener = createServer({ allowHalfOpen: true });
    await new Promise<void>(resolve => listener.listen(0, '127.0.0.1', resolve));
    return new TcpProxy(listener, serverPort, line instanceof Line ? () => line : line);
  }

  async close(): Promise<void> {
    for (const pair of this.#pairs) destroy(pair);
    await new Promise(resolve => this.#listener.close(resolve));
  }

  #join(client: Socket, port: number): void {
    const server = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    const pair: Pair = { client, server, line: undefined, mute: false };
    this.#pairs.add(pair);
    client.setNoDelay(true);
    pair.server.setNoDelay(true);
    client.on('data', data => {
      pair.line = this.#classify(data, pair.line);
    });
    const requests = pass(client, pair, data => {
      if (!pair.line?.isCut(pair, data)) pair.server.write(data);
    });
    const answers = pass(pair.server, pair, data => {
      if (!pair.mute) client.write(data);
    });
    for (const [from, to, passed] of [
      [client, server, requests],
      [server, client, answers],
    ] as const) {
      from.on('error', () => {});
      from.on('end', async () => {
        await passed();
        to.end();
      });
      from.on('close', async () => {
        this.#pairs.delete(pair);
        await passed();
        destroy(pair);
      });
    }
  }
}

/** Passes data on in order, at any delay. Returns the data that still waits. */
function pass(from: Socket, pair: Pair, onwards: (data: Buffer) => void): () => Promise<void> {
  let last = Promise.resolve();
  let waiting = 0;
  from.on('data', data => {
    const due = pair.line?.due ?? 0;
    if (waiting === 0 && due <= Date.now()) {
      onwards(data);
      return;
    }
    waiting++;
    last = last
      .then(() => delay(Math.max(0, due - Date.now())))
      .then(() => {
        waiting--;
        onwards(data);
      });
  });
  return () => last;
}

function destroy(pair: Pair): void {
  pair.client.destroy();
  pair.server.destroy();
}
