/**
 * Sends requests over kept connections, each the next one when it has its answer. It parses only what it needs, so it
 * costs a fraction of what a server does; clients for all purposes cost more than the shop's cached answers.
 */
import { connect, type Socket } from 'node:net';
import { Times } from './traffic.ts';

const LENGTH = /content-length: (\d+)/i;

export interface Load {
  readonly port: number;
  readonly connections: number;
  /** Ends the load: after so many requests, or after a time. */
  readonly requests?: number;
  readonly seconds?: number;
  readonly nextPath: () => string;
}

export async function loadHttp({
  port,
  connections,
  requests = Infinity,
  seconds = Infinity,
  nextPath,
}: Load) {
  const times = new Times();
  const began = performance.now();
  const end = began + seconds * 1000;
  let [sent, failed] = [0, 0];
  const isOver = () => sent >= requests || performance.now() >= end;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect(port, '127.0.0.1').setNoDelay();
      try {
        while (!isOver()) {
          sent++;
          const at = performance.now();
          if ((await request(socket, nextPath())) !== 200) failed++;
          times.add(performance.now() - at);
        }
      } finally {
        socket.destroy();
      }
    }),
  );
  const [p50, p99] = times.quantiles(0.5, 0.99);
  return {
    requests: times.count,
    perSecond: times.count / ((performance.now() - began) / 1000),
    p50: p50!,
    p99: p99!,
    failed,
  };
}

/** @returns the status */
function request(socket: Socket, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let text = '';
    const onData = (data: Buffer) => {
      text += data.toString('latin1');
      const head = text.indexOf('\r\n\r\n');
      if (head < 0 || text.length < head + 4 + Number(LENGTH.exec(text)?.[1] ?? 0)) return;
      socket.off('data', onData).off('error', reject).off('close', onClose);
      resolve(Number(text.slice(9, 12)));
    };
    const onClose = () =>
      reject(new Error(`The server closed the connection at GET ${path}; look into its log.`));
    socket.on('data', onData).once('error', reject).once('close', onClose);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: shop\r\n\r\n`);
  });
}
