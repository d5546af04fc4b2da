// Just enough of the Redis protocol to query a server without a client library. It reads simple strings,
// errors, integers and bulk strings, which is all that these commands return.

import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

const callLimit = 2_000;

export interface RedisAddress {
  port: number;
  password?: string | undefined;
  /** The CA's certificate, for a server that speaks TLS. */
  ca?: string | undefined;
}

/** Sends the commands on one connection and resolves with their replies; rejects on an error reply. */
export function redisCall(address: RedisAddress, ...commands: string[][]): Promise<string[]> {
  const all = address.password ? [['AUTH', address.password], ...commands] : commands;
  return new Promise((resolve, reject) => {
    const host = '127.0.0.1';
    const socket: Socket = address.ca
      ? connectTls({ host, port: address.port, ca: address.ca })
      : connect({ host, port: address.port });
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    let received = '';
    socket.setEncoding('utf8');
    socket.setTimeout(callLimit, () => fail(new Error(`no reply within ${callLimit} ms`)));
    socket.once('error', fail);
    socket.once('close', () => fail(new Error('connection closed before the replies were complete')));
    socket.on('data', (chunk: string) => {
      received += chunk;
      try {
        const replies = parseReplies(received, all.length);
        if (!replies) return;
        resolve(replies.slice(all.length - commands.length));
        socket.destroy();
      } catch (error) {
        fail(error as Error);
      }
    });
    socket.write(all.map(encode).join(''));
  });
}

function encode(command: string[]): string {
  return `*${command.length}\r\n${command.map(part => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')}`;
}

/** Undefined while the replies are incomplete. Lengths count bytes; the texts here are ASCII. */
function parseReplies(text: string, count: number): string[] | undefined {
  const replies: string[] = [];
  let at = 0;
  while (replies.length < count) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const kind = text[at];
    const line = text.slice(at + 1, lineEnd);
    at = lineEnd + 2;
    if (kind === '-') throw new Error(line);
    if (kind === '+' || kind === ':') {
      replies.push(line);
      continue;
    }
    if (kind !== '$') throw new Error(`unexpected reply: ${kind}${line}`);
    const length = Number(line);
    if (text.length < at + length + 2) return undefined;
    replies.push(text.slice(at, at + length));
    at += length + 2;
  }
  return replies;
}
