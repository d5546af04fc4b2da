/**
 * A TCP proxy before a server, for what a network does: delay, hold back for a while, and cut a connection right
 * before a request reaches the server, or right after it did, so that its answer is lost.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** Time for the server to run what it was sent before its connection ends. */
const runTime = 20;

interface Cut {
  readonly request: Buffer;
  readonly when: 'before' | 'after';
  /** Requests to let pass first. */
  skip: number;
  readonly done: (happened: boolean) => void;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Undefined until it is known whose connection this is. */
  line: Line | undefined;
  /** Answers go nowhere any more. */
  mute: boolean;
}

/** Connections to which the same happens, through one proxy or several. */
export class Line {
  /** Each way takes so much longer, until 0 is set. */
  delayMs = 0;
  #heldUntil = 0;
  #cut: Cut | undefined;

  /** Holds everything back for so long; then it arrives. */
  hold(ms: number): void {
    this.#heldUntil = Date.now() + ms;
  }

  /** When what arrives now is to be passed on. */
  get due(): number {
    return Math.max(this.#heldUntil, this.delayMs > 0 ? Date.now() + this.delayMs : 0);
  }

  /** Cuts the next connection that sends the request; false where none did within the limit. */
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

  /** Whether the data is not to be passed on. */
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
    // An answer shows that the server has run it; several requests may be under way on one connection.
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

/** Tells whose connection it is by what it sends. Asked with each request, since a later one may tell more. */
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

  /** @param line of all its connections, or what tells it for each */
  static async open(serverPort: number, line: Line | Classify = new Line()): Promise<TcpProxy> {
    // Who ends its side waits for the other, which may stand still.
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

/** Passes data on in order, however late. Returns what waits until all of it is. */
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
