/** The open connections of a server: those without a request must not hold up its end. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import { openAnswer } from './framework-errors.ts';

export class Connections {
  readonly #server: Server;
  /** Those that may carry requests. */
  readonly #open = new Set<Socket>();
  /** Under TLS, those whose handshake is not done, by the address of the client. The HTTP server does not know them. */
  readonly #handshakes = new Map<string, Socket>();
  /** Since when one has had no request, ms. Known only while the server ends. */
  readonly #idleSince = new WeakMap<Socket, number>();

  constructor(server: Server) {
    this.#server = server;
    if (!(server instanceof TlsServer)) {
      server.on('connection', socket => this.#add(socket));
      return;
    }
    server.on('connection', (socket: Socket) => {
      const client = clientOf(socket);
      this.#handshakes.set(client, socket);
      socket.once('close', () => {
        if (this.#handshakes.get(client) === socket) this.#handshakes.delete(client);
      });
    });
    // Without TLS nothing can be answered; the answer of a client's error would wait for it.
    server.on('tlsClientError', (_, socket) => socket.destroy());
    server.on('secureConnection', (socket: Socket) => {
      this.#handshakes.delete(clientOf(socket));
      this.#add(socket);
    });
  }

  /** Whether a request has no complete answer. */
  get haveRequests(): boolean {
    return [...this.#open].some(openAnswer);
  }

  /**
   * Closes those without a request. One that has sent a part of a head, or of a body after its answer, may go on.
   * @param patienceMs for how long that one may
   */
  closeIdle(patienceMs: number): void {
    // Those that have had a request before.
    this.#server.closeIdleConnections();
    for (const socket of this.#handshakes.values()) socket.destroy();
    const now = performance.now();
    for (const socket of this.#open) {
      if (openAnswer(socket)) {
        this.#idleSince.delete(socket);
        continue;
      }
      const since = this.#idleSince.get(socket) ?? now;
      this.#idleSince.set(socket, since);
      // For node:http one that never sent anything is not idle. It also checks no times any more.
      if (socket.bytesRead === 0 || now - since >= patienceMs) socket.destroy();
    }
  }

  closeAll(): void {
    for (const socket of [...this.#open, ...this.#handshakes.values()]) socket.destroy();
  }

  #add(socket: Socket): void {
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
  }
}

/** The same for a connection and for what TLS makes of it. */
function clientOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
