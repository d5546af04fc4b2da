// The network between the members of a MySQL group: a proxy before each, to cut it off from the others but
// not from clients. Linux tells which member calls: the process with the other end of the connection.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { RunningServer } from './process.ts';

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  readonly to: number;
  /** Undefined if the connection is not from a member. */
  readonly from: number | undefined;
}

export class MemberLinks {
  readonly ports: readonly number[];
  #members: readonly RunningServer[] = [];
  readonly #listeners: Server[];
  readonly #links = new Set<Link>();
  readonly #cutOff = new Set<number>();

  private constructor(listeners: Server[]) {
    this.#listeners = listeners;
    this.ports = listeners.map(listener => (listener.address() as AddressInfo).port);
    for (const [to, listener] of listeners.entries())
      listener.on('connection', client => this.#join(client, to));
  }

  /** Opens the proxies before the members start, since members are told these ports. */
  static async open(count: number): Promise<MemberLinks> {
    const listeners = await Promise.all(
      Array.from({ length: count }, async () => {
        const listener = createServer();
        await new Promise<void>(resolve => listener.listen(0, '127.0.0.1', resolve));
        return listener;
      }),
    );
    return new MemberLinks(listeners);
  }

  /** Refuses all connections until then. */
  lead(members: readonly RunningServer[]): void {
    this.#members = members;
  }

  /** Drops everything between this member and the others without closing connections, like a cut cable. */
  cut(member: number): void {
    this.#cutOff.add(member);
    for (const link of this.#links) if (this.#isCut(link)) hold(link);
  }

  /** What was sent over the cut connections is lost with them. */
  heal(member: number): void {
    const broken = [...this.#links].filter(link => this.#isCut(link));
    this.#cutOff.delete(member);
    for (const link of broken) end(link);
  }

  async close(): Promise<void> {
    for (const link of this.#links) end(link);
    await Promise.all(this.#listeners.map(listener => new Promise(resolve => listener.close(resolve))));
  }

  #isCut({ from, to }: Link): boolean {
    return from !== to && (this.#cutOff.has(to) || (from !== undefined && this.#cutOff.has(from)));
  }

  #join(client: Socket, to: number): void {
    const member = this.#members[to];
    if (!member) {
      client.destroy();
      return;
    }
    const { port } = member;
    const from = callerOf(client, this.#members);
    const link: Link = { client, server: connect({ host: '127.0.0.1', port }), to, from };
    this.#links.add(link);
    client.on('data', data => link.server.write(data));
    link.server.on('data', data => client.write(data));
    for (const [socket, other] of [
      [client, link.server],
      [link.server, client],
    ] as const) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#links.delete(link);
        other.destroy();
      });
    }
    if (this.#isCut(link)) hold(link);
  }
}

function hold({ client, server }: Link): void {
  client.pause();
  server.pause();
}

function end({ client, server }: Link): void {
  client.destroy();
  server.destroy();
}

/** The member with the other end of the connection. */
function callerOf(socket: Socket, members: readonly RunningServer[]): number | undefined {
  const hex = (port = 0) => port.toString(16).toUpperCase().padStart(4, '0');
  const ends = `:${hex(socket.remotePort)} [0-9A-F]+:${hex(socket.localPort)} `;
  // Columns after the two ends: state, queues, timer, retransmits, user, timeout, inode.
  const row = new RegExp(`${ends}(?:\\S+ +){6}(\\d+)`);
  const inode = row.exec(readFileSync('/proc/net/tcp', 'utf8'))?.[1];
  const index = members.findIndex(({ pid }) => inode !== undefined && holds(pid, `socket:[${inode}]`));
  return index < 0 ? undefined : index;
}

function holds(pid: number, socket: string): boolean {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).some(fd => linkOf(`${folder}/${fd}`) === socket);
  } catch {
    return false;
  }
}

function linkOf(file: string): string | undefined {
  try {
    return readlinkSync(file);
  } catch {
    return undefined;
  }
}
