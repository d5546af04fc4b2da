/** The environment variables of `sluice serve`. */
import { BlockList, isIP } from 'node:net';
import { ConfigurationError } from '../errors.ts';
import { readableFile, readPort, type Variable } from './variables.ts';

export interface ApiConfig {
  readonly host: string;
  readonly port: number;
  /** Requests a second of one key in this process, and how many at once; 0 is no limit. */
  readonly rate: number;
  readonly burst: number;
  readonly connections: number;
  readonly headersMs: number;
  readonly bodyMs: number;
  readonly idleMs: number;
  readonly keepAliveMs: number;
  readonly drainMs: number;
  /** Paths of PEM files; undefined for plain HTTP. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  /** Addresses and networks whose `X-Forwarded-For` counts. */
  readonly trustedProxies: readonly string[];
}

export interface NumberVariable {
  readonly name: string;
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly what: string;
}

const DAY = 24 * 60 * 60 * 1000;

const numbers = {
  rate: {
    name: 'SLUICE_API_RATE',
    default: 10_000,
    min: 0,
    max: 1_000_000,
    what: 'Requests a second that one key may make to one process of `sluice serve`; `0` is no limit. `sluice keys create --rate` sets another for one key',
  },
  burst: {
    name: 'SLUICE_API_BURST',
    default: 20_000,
    min: 1,
    max: 10_000_000,
    what: 'How many requests a key may make at once after it was idle; not below the rate',
  },
  connections: {
    name: 'SLUICE_API_CONNECTIONS',
    default: 20_000,
    min: 1,
    max: 1_000_000,
    what: 'Most open connections of one process; further ones are closed. An idle one takes about 10 KB',
  },
  headersMs: {
    name: 'SLUICE_API_HEADERS_MS',
    default: 10_000,
    min: 100,
    max: DAY,
    what: 'Longest time that a client may take to send the headers of a request, and before that for its TLS handshake',
  },
  bodyMs: {
    name: 'SLUICE_API_BODY_MS',
    default: 15_000,
    min: 100,
    max: DAY,
    what: 'Longest time that a client may take to send a JSON body. NDJSON may take any time, and is never idle for longer than the next',
  },
  idleMs: {
    name: 'SLUICE_API_IDLE_MS',
    default: 75_000,
    min: 100,
    max: DAY,
    what: 'A connection on which neither side has sent anything for so long is closed, also if a client does not read its answer. Longer than the 50 seconds for which `Prefer: wait` may keep one',
  },
  keepAliveMs: {
    name: 'SLUICE_API_KEEP_ALIVE_MS',
    default: 75_000,
    min: 100,
    max: DAY,
    what: 'How long a connection may wait for its next request. Longer than the idle timeout of a load balancer (60 seconds at AWS), or it meets closed connections',
  },
  drainMs: {
    name: 'SLUICE_DRAIN_MS',
    default: 5000,
    min: 0,
    max: DAY,
    what: 'How long `sluice serve` goes on answering after SIGTERM, while `/readyz` answers 503, so that a load balancer notices. It then takes no new requests, and finishes open ones within `SLUICE_SHUTDOWN_DEADLINE_MS`',
  },
} as const satisfies Record<string, NumberVariable>;

export const apiVariables: readonly Variable[] = [
  {
    name: 'SLUICE_API_HOST',
    default: '127.0.0.1',
    what: 'Address on which `sluice serve` answers requests; `0.0.0.0` inside a container. Refused for any but the loopback while there is no key (`sluice keys create`)',
  },
  {
    name: 'SLUICE_API_PORT',
    default: '8080',
    what: 'Its port; `0` takes a free one and logs it. `tcp://...`, which Kubernetes sets for a Service named `sluice-api`, counts as not set',
  },
  ...Object.values(numbers).map(({ name, default: preset, what, min, max }) => ({
    name,
    default: String(preset),
    what: `${what} (${min} to ${max})`,
  })),
  {
    name: 'SLUICE_TLS_CERT',
    default: '',
    what: 'PEM file with the certificate of `sluice serve` and `sluice console`, and `SLUICE_TLS_KEY` the one with its key: they then answer HTTPS only. Read at start',
  },
  { name: 'SLUICE_TLS_KEY', default: '', what: 'PEM file with the key of `SLUICE_TLS_CERT`' },
  {
    name: 'SLUICE_TRUSTED_PROXIES',
    default: '',
    what: 'Addresses and networks of load balancers, such as `10.0.0.0/16,::1`. Only their `X-Forwarded-For` counts: in the log, and for the limit of logins at the console',
  },
];

export type Text = (name: string) => string | undefined;

/** @throws ConfigurationError that names the variable */
export function readApi(text: Text): ApiConfig {
  const preset = (name: string) => apiVariables.find(known => known.name === name)!.default;
  const read = (field: keyof typeof numbers) => readWholeNumber(numbers[field], text);
  const rate = read('rate');
  const burst = text('SLUICE_API_BURST') ? read('burst') : Math.max(numbers.burst.default, 2 * rate);
  if (burst < rate) throw new ConfigurationError('SLUICE_API_BURST must not be below SLUICE_API_RATE.');
  return {
    host: text('SLUICE_API_HOST') ?? preset('SLUICE_API_HOST'),
    port: readPort('SLUICE_API_PORT', text('SLUICE_API_PORT') ?? preset('SLUICE_API_PORT')),
    rate,
    burst,
    connections: read('connections'),
    headersMs: read('headersMs'),
    bodyMs: read('bodyMs'),
    idleMs: read('idleMs'),
    keepAliveMs: read('keepAliveMs'),
    drainMs: read('drainMs'),
    tls: readTls(text),
    trustedProxies: readNetworks('SLUICE_TRUSTED_PROXIES', text),
  };
}

/** @throws ConfigurationError that names the variable */
export function readWholeNumber({ name, default: preset, min, max }: NumberVariable, text: Text): number {
  const given = text(name) ?? String(preset);
  const number = /^\d{1,9}$/.test(given) ? Number(given) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new ConfigurationError(`${name} must be a whole number from ${min} to ${max}.`);
}

/** @throws ConfigurationError */
export function readTls(text: Text): ApiConfig['tls'] {
  const certFile = readableFile('SLUICE_TLS_CERT', text('SLUICE_TLS_CERT'));
  const keyFile = readableFile('SLUICE_TLS_KEY', text('SLUICE_TLS_KEY'));
  if (certFile && keyFile) return { certFile, keyFile };
  if (certFile || keyFile)
    throw new ConfigurationError('SLUICE_TLS_CERT and SLUICE_TLS_KEY belong together; set both or neither.');
  return undefined;
}

/** Addresses and networks. @throws ConfigurationError */
export function readNetworks(name: string, text: Text): string[] {
  const networks = readList(text(name));
  for (const network of networks) {
    const [address = '', bits, ...more] = network.split('/');
    const family = isIP(address);
    const isNetwork =
      bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
    if (family === 0 || more.length > 0 || !isNetwork)
      throw new ConfigurationError(
        `${name} must be a list of addresses and networks, such as 10.0.0.0/16; ${JSON.stringify(network)} is neither.`,
      );
  }
  return networks;
}

export function readList(list = ''): string[] {
  return list.split(',').flatMap(entry => (entry.trim() === '' ? [] : [entry.trim()]));
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  const loopback = new BlockList();
  loopback.addSubnet('127.0.0.0', 8, 'ipv4');
  loopback.addAddress('::1', 'ipv6');
  const family = isIP(host);
  return family !== 0 && loopback.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
