/**
 * The login of RDS before a MySQL of the tests: it asks for the password in clear text inside TLS, gives it
 * to the test, logs in to MySQL as the same user without a password, and passes on everything that follows.
 */
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Certificates } from '../../scripts/servers/certificates.ts';
import { cleanUp } from './cleanup.ts';

const SSL = 0x0800;

/** Opens the front; closed after the test. @param admits whether RDS would accept the token */
export async function openRdsFront(
  mysqlPort: number,
  certificates: Certificates,
  admits: (token: string) => boolean,
) {
  const tokens: string[] = [];
  const sockets = new Set<Socket>();
  const serve = async (plain: Socket, upstream: Socket) => {
    const server = packets(upstream);
    plain.write(await server());
    await packets(plain)(); // the request for TLS; nothing else has been sent yet
    const client = new TLSSocket(plain, {
      isServer: true,
      key: readFileSync(certificates.keyFile),
      cert: readFileSync(certificates.certFile),
    });
    client.on('error', () => plain.destroy());
    const fromClient = packets(client);
    const greeting = await fromClient();
    client.write(packet(3, Buffer.from('\xfemysql_clear_password\0', 'latin1')));
    const token = (await fromClient()).subarray(4).toString().replace(/\0$/, '');
    tokens.push(token);
    if (!admits(token)) {
      const refusal = Buffer.concat([Buffer.from([0xff, 0x15, 0x04]), Buffer.from('#28000Access denied')]);
      client.end(packet(5, refusal));
      return;
    }
    const login = Buffer.from(greeting.subarray(4));
    login.writeUInt32LE(login.readUInt32LE(0) & ~SSL, 0);
    upstream.write(packet(1, login));
    client.write(packet(5, (await server()).subarray(4)));
    client.pipe(upstream);
    upstream.pipe(client);
  };
  const listener = createServer(plain => {
    const upstream = connect(mysqlPort, '127.0.0.1');
    for (const [one, other] of [
      [plain, upstream],
      [upstream, plain],
    ] as const) {
      sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => other.destroy());
    }
    serve(plain, upstream).catch(() => plain.destroy());
  });
  await new Promise<void>(resolve => listener.listen(0, 'localhost', resolve));
  cleanUp(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise(resolve => listener.close(resolve));
  });
  return { tokens, port: (listener.address() as AddressInfo).port };
}

function packet(sequence: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([payload.length & 0xff, payload.length >> 8, 0, sequence]), payload]);
}

/** Reads one packet after another from a socket and leaves the rest to other readers. */
function packets(socket: Socket): () => Promise<Buffer> {
  return async () => {
    const head = await read(socket, 4);
    return Buffer.concat([head, await read(socket, head.readUIntLE(0, 3))]);
  };
}

async function read(socket: Socket, length: number): Promise<Buffer> {
  for (;;) {
    const data: Buffer | null = socket.read(length);
    if (data) return data;
    await new Promise<void>((resolve, reject) => {
      const done = () => {
        socket.off('readable', done);
        socket.off('close', gone);
        resolve();
      };
      const gone = () => {
        socket.off('readable', done);
        reject(new Error('closed'));
      };
      socket.once('readable', done);
      socket.once('close', gone);
    });
  }
}
