// The load of the HTTP benchmarks, in a process of its own: keep-alive connections that send prepared bytes and
// read just enough of the answers.

import { connect, type Socket } from 'node:net';
import { Latencies } from '../../scripts/load/latencies.ts';
import { counterKey } from '../../scripts/load/traffic.ts';
import { seededRandom, Zipf } from '../../scripts/load/zipf.ts';
import { serve } from './serve.ts';

export interface HttpLoadPlan {
  port: number;
  key: string;
  connections: number;
  mode: 'single' | 'array' | 'lines';
  keys: number;
  seconds: number;
  warmUpSeconds: number;
  /** Requests a second over all connections; as many as possible if left out. */
  perSecond?: number;
}

export interface HttpLoadResult {
  /** Sent and answered with success, the warm-up included. */
  accepted: number;
  updates: number;
  seconds: number;
  p50Ms: number;
  p99Ms: number;
}

/** Updates in an array, or between two looks at the clock in a stream. */
const MANY = 1000;
/** Prepared requests, so that to make them costs nothing while the clock runs. */
const PREPARED = 200;

function requests({ key, mode, keys }: HttpLoadPlan): Buffer[] {
  const zipf = new Zipf(keys, 1, seededRandom(1));
  const head = (path: string, type: string, more: string) =>
    `POST ${path} HTTP/1.1\r\nHost: sluice\r\nAuthorization: Bearer ${key}\r\nContent-Type: ${type}\r\n${more}\r\n\r\n`;
  const update = () => JSON.stringify({ counter: 'page_views', key: counterKey(zipf.next()) });
  return Array.from({ length: PREPARED }, () => {
    if (mode === 'lines') {
      const lines = Array.from({ length: MANY }, () => `${update()}\n`).join('');
      return Buffer.from(`${Buffer.byteLength(lines).toString(16)}\r\n${lines}\r\n`);
    }
    const body =
      mode === 'single'
        ? JSON.stringify({ key: counterKey(zipf.next()) })
        : `[${Array.from({ length: MANY }, update).join(',')}]`;
    const path = mode === 'single' ? '/v1/counters/page_views' : '/v1/updates';
    return Buffer.from(head(path, 'application/json', `Content-Length: ${Buffer.byteLength(body)}`) + body);
  });
}

/** One connection: sends a request, reads the answer by its length, and tells when it is complete. */
class Connection {
  readonly #socket: Socket;
  #parts: Buffer[] = [];
  #done: ((text: string) => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', part => this.#read(part));
  }

  ask(request: Buffer): Promise<string> {
    return new Promise(resolve => {
      this.#done = resolve;
      this.#socket.write(request);
    });
  }

  #read(part: Buffer): void {
    this.#parts.push(part);
    const all = this.#parts.length === 1 ? part : Buffer.concat(this.#parts);
    const head = all.indexOf('\r\n\r\n');
    if (head < 0) return;
    const [, length] = /content-length: (\d+)/i.exec(all.toString('latin1', 0, head)) ?? [];
    if (length === undefined || all.length < head + 4 + Number(length)) return;
    this.#parts = [];
    this.#done?.(all.toString('latin1'));
  }
}

serve<HttpLoadPlan, HttpLoadResult>(async plan => {
  const prepared = requests(plan);
  const open = () =>
    new Promise<Socket>((resolve, reject) => {
      const socket = connect({ port: plan.port, host: '127.0.0.1', noDelay: true }, () => resolve(socket));
      socket.on('error', reject);
    });
  if (plan.mode === 'lines') return () => stream(plan, prepared, open);
  const connections = await Promise.all(
    Array.from({ length: plan.connections }, async () => new Connection(await open())),
  );
  const each = plan.mode === 'single' ? 1 : MANY;
  const run = async (seconds: number) => {
    const latencies = new Latencies();
    const started = performance.now();
    const end = started + seconds * 1000;
    let answered = 0;
    let next = 0;
    const loop = async (connection: Connection) => {
      for (let now = performance.now(); now < end; now = performance.now()) {
        if (plan.perSecond) {
          const due = started + (next / plan.perSecond) * 1000;
          if (due > now) await new Promise(resolve => setTimeout(resolve, due - now));
        }
        const sentAt = performance.now();
        const answer = await connection.ask(prepared[next++ % PREPARED]!);
        latencies.note(performance.now() - sentAt);
        if (!answer.startsWith('HTTP/1.1 200') || answer.includes('"error"'))
          throw new Error(answer.slice(0, 500));
        answered++;
      }
    };
    await Promise.all(connections.map(loop));
    return { updates: answered * each, seconds: (performance.now() - started) / 1000, latencies };
  };
  const warm = await run(plan.warmUpSeconds);
  return async () => {
    const { updates, seconds, latencies } = await run(plan.seconds);
    const [p50Ms, p99Ms] = [latencies.percentile(0.5), latencies.percentile(0.99)];
    return { accepted: warm.updates + updates, updates, seconds, p50Ms, p99Ms };
  };
});

/** One request of lines, as fast as the server reads it. */
async function stream(
  plan: HttpLoadPlan,
  prepared: readonly Buffer[],
  open: () => Promise<Socket>,
): Promise<HttpLoadResult> {
  const socket = await open();
  let text = '';
  socket.on('data', part => {
    text += part.toString('latin1');
  });
  const type = 'Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked';
  socket.write(
    `POST /v1/updates HTTP/1.1\r\nHost: sluice\r\nAuthorization: Bearer ${plan.key}\r\nConnection: close\r\n${type}\r\n\r\n`,
  );
  const started = performance.now();
  const end = started + (plan.seconds + plan.warmUpSeconds) * 1000;
  let sent = 0;
  while (performance.now() < end) {
    const room = socket.write(prepared[sent++ % PREPARED]!);
    if (!room) await new Promise(resolve => socket.once('drain', resolve));
  }
  const closed = new Promise(resolve => socket.once('close', resolve));
  socket.write('0\r\n\r\n');
  await closed;
  const [, accepted] = /"done":true,"lines":\d+,"accepted":(\d+)/.exec(text) ?? [];
  if (Number(accepted) !== sent * MANY) throw new Error(text.slice(-500));
  const seconds = (performance.now() - started) / 1000;
  return { accepted: sent * MANY, updates: sent * MANY, seconds, p50Ms: 0, p99Ms: 0 };
}
