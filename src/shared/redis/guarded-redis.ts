/**
 * A connection to one server that sends no command before it has verified the server.
 *
 * Invariant: every command reaches a primary, in the database of the URL. ioredis alone goes on in database 0
 * after a failed SELECT, and accepts a replica. The invariant also holds for copies made by `duplicate`: the
 * connections of BullMQ and the lanes of the barrier.
 */
import { Redis, type RedisOptions } from 'ioredis';
import { AccessDeniedError, RedisUnavailableError, RedisUnsuitableError } from '../errors.ts';
import { keepCurrent } from '../password.ts';
import { redisError, replyCode } from './errors.ts';

/** The answer of INFO, which ioredis reads after the handshake. */
interface Info {
  readonly role?: string;
  readonly master_host?: string;
  readonly master_port?: string;
}

/** Undeclared parts of ioredis. They are the reason why its version is pinned. */
interface Connector {
  /** Called after the handshake, before any command of Sluice. False closes the connection and retries. */
  check(info: Info): boolean;
  /** Asks one Sentinel for the primary; null if it does not know. */
  resolve?(sentinel: { host: string; port: number }): Promise<unknown>;
}

/** Options that are read again for each connection. */
interface Renewed {
  currentPassword?: () => string;
  currentSentinelPassword?: () => string;
}

export class GuardedRedis extends Redis {
  /** Why the server of the current handshake may not be used. */
  #refusal: Error | undefined;
  /** The last error reply to the handshake, until it is reported. */
  #reply: Error | undefined;
  /** The last Sentinel's error, if it gave no address of the primary. */
  #sentinelFailure: Error | undefined;

  constructor(options: RedisOptions & Renewed & { replyMapping?: 'legacy' }) {
    super(options);
    keepCurrent(this.options, 'password', options.currentPassword);
    keepCurrent(this.options, 'sentinelPassword', options.currentSentinelPassword);
    const { connector } = this as unknown as { connector: Connector };
    const check = connector.check.bind(connector);
    connector.check = info => {
      const isPrimary = check(info) && info.role !== 'slave';
      const refusal = this.#refusal ?? (isPrimary ? undefined : this.#replica(info));
      this.#refusal = undefined;
      this.#reply = undefined;
      if (!refusal) return true;
      // A failed SELECT was reported when it failed.
      if (!isPrimary) this.silentEmit('error', refusal);
      return false;
    };
    // If a server answers an error and hangs up, ioredis waits for the other answers and reports nothing.
    this.on('close', () => {
      if (this.#reply) this.silentEmit('error', this.#reply);
    });
    if (!connector.resolve) return;
    const resolve = connector.resolve.bind(connector);
    connector.resolve = async sentinel => {
      this.#sentinelFailure = undefined;
      const address = `${sentinel.host}:${sentinel.port}`;
      const found = await resolve(sentinel).catch(error => {
        this.#sentinelFailure = refusedBySentinel(error, address);
        throw error;
      });
      if (!found)
        this.#sentinelFailure = new RedisUnavailableError(`${address} (a Sentinel)`, {
          reason: `it knows no primary named ${options.name}`,
        });
      return found;
    };
  }

  override duplicate: Redis['duplicate'] = override =>
    new GuardedRedis({ ...this.options, ...override, replyMapping: 'legacy' }) as never;

  /** ioredis calls this for every failure of the connection. Handshake failures get a better explanation. */
  override silentEmit(event: string, arg?: unknown): boolean {
    if (event === 'error') this.#reply = undefined;
    return super.silentEmit(event, event === 'error' ? this.#explained(arg) : arg);
  }

  /** ioredis calls this for every error reply. */
  override handleReconnection(...[error, item]: Parameters<Redis['handleReconnection']>): void {
    if (this.condition?.handshake && item.command.name === 'hello') this.#reply = error;
    super.handleReconnection(error, item);
  }

  #explained(error: unknown): unknown {
    const { command } = (error ?? {}) as { command?: { name?: string } };
    if (command?.name === 'select' && replyCode(error)) {
      this.#refusal = new RedisUnsuitableError(
        `Redis at ${this.#address} refused this user database number ${this.options.db} ("${(error as Error).message}"), ` +
          'so nothing was sent to it. Use another number, or none and your own SLUICE_NAMESPACE.',
        { cause: error },
      );
      return this.#refusal;
    }
    if (this.#sentinelFailure && this.status === 'connecting') return this.#sentinelFailure;
    return replyCode(error) ? redisError(error, this.#address) : error;
  }

  #replica({ master_host: host, master_port: port }: Info): Error {
    if (this.options.sentinels)
      return new RedisUnavailableError(this.#address, {
        reason: 'it is a replica, and the Sentinels still name it as the primary',
      });
    return new RedisUnsuitableError(
      `Redis at ${this.#address} is a replica of ${host}:${port} and takes no writes (role:slave, READONLY). ` +
        'Use the address of the primary, or redis+sentinel:// to follow the primary.',
    );
  }

  /** Address of the server itself; with Sentinels, the URL names those instead. */
  get #address(): string {
    const { host, port, sentinels } = this.options;
    if (!sentinels) return `${host}:${port}`;
    const { remoteAddress, remotePort } = this.stream ?? {};
    return remoteAddress ? `${remoteAddress}:${remotePort}` : `the primary ${this.options.name}`;
  }
}

function refusedBySentinel(error: unknown, address: string): Error {
  const failure = redisError(error, `${address} (a Sentinel)`);
  if (!(failure instanceof AccessDeniedError)) return failure;
  const check = 'REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD';
  return new AccessDeniedError('The Sentinel', address, { cause: error, reason: replyCode(error) }, check);
}
