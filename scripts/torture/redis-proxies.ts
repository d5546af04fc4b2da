/**
 * A proxy before every Redis node. Nodes announce the proxies' ports, so that clients of Sentinels and of a
 * Cluster also come through them. All share one port; a connection's owner shows in what it sends.
 */
import { createHash } from 'node:crypto';
import { readScript } from '../../src/shared/redis/read-script.ts';
import { type Classify, Line, TcpProxy } from './proxy.ts';

const lua = readScript(new URL('../../src/producer/apply.lua', import.meta.url));
const apply = createHash('sha1').update(lua).digest('hex');
const scripts = [Buffer.from('evalsha'), Buffer.from('EVALSHA')];

export class RedisProxies {
  readonly workers = new Line();
  readonly producers = new Line();
  readonly #proxies = new Map<number, Promise<TcpProxy>>();

  /** Port of the proxy before the node on this port. */
  announce = async (port: number): Promise<number> => {
    let proxy = this.#proxies.get(port);
    if (!proxy) {
      proxy = TcpProxy.open(port, this.#classify);
      this.#proxies.set(port, proxy);
    }
    return (await proxy).port;
  };

  async close(): Promise<void> {
    await Promise.all([...this.#proxies.values()].map(async proxy => (await proxy).close()));
  }

  /** Only producers run apply.lua; workers and BullMQ run other scripts; replicas and Sentinels run none. */
  readonly #classify: Classify = (request, before) => {
    if (before === this.producers || request.includes(apply)) return this.producers;
    return before ?? (scripts.some(script => request.includes(script)) ? this.workers : undefined);
  };
}
