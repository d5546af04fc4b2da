/**
 * A connection to one server that lets no command through before the server has shown to be the one that is meant.
 *
 * Invariant: whatever is sent arrives at a primary, in the database of the URL. ioredis alone reports a SELECT that failed
 * and goes on in database 0, and takes a replica for any other server. This holds for every connection that is made from
 * such a one by `duplicate`: those of BullMQ and the lanes of the barrier.
 */
import { Redis, type RedisOptions } from 'ioredis';
import { AccessDeniedError, RedisUnavailableError, RedisUnsuitableError } from '../errors.ts';
import { keepCurrent } from '../password.ts';
import { redisError, replyCode } from './errors.ts';

/** What INFO says, as ioredis reads it after the handshake. */
interface Info {
  readonly role?: string;
  readonly master_host?: string;
  readonly master_port?: string;
}

/** Parts of ioredis that it does not declare. They are the reason why its version is pinned. */
interface Connector {
  /** Asked after the handshake, before any command of ours: false closes the connection, and it is tried again. */
  check(info: Info): boolean;
  /** Asks one Sentinel where the primary is; null where it does not know. */
  resolve?(sentinel: { host: string; port: number }): Promise<unknown>;
}

/** What of the options is asked for anew before each connection. */
interface Renewed {
  currentPassword?: () => string;
  currentSentinelPassword?: () => string;
}

export class GuardedRedis extends Redis {
  /** Why the server may not be used that answered the handshake under way. */
  #refusal: Error | undefined;
  /** The last error reply to the handshake, as long as nobody was told. */
  #reply: Error | undefined;
  /** What the last Sentinel answered in place of the primary's address. */
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
      // A SELECT that failed was told when it failed.
      if (!isPrimary) this.silentEmit('error', refusal);
      return false;
    };
    // A server that answers and hangs up leaves ioredis waiting for its other answers, and the first is never told.
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

  /** Every failure of the connection comes through here; those of the handshake say more than ioredis makes of them. */
  override silentEmit(event: string, arg?: unknown): boolean {
    if (event === 'error') this.#reply = undefined;
    return super.silentEmit(event, event === 'error' ? this.#explained(arg) : arg);
  }

  /** Called with every error reply. */
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

  /** The server itself: behind Sentinels the URL names other ones. */
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
