/**
 * Checks whether a MySQL server takes writes and has the latest ones: it is a primary, in the majority of its
 * group, and synced with its cluster. The statements need no rights and never wait for other members.
 */
import {
  type Connection,
  type ConnectionOptions,
  createConnection,
  type PoolConnection,
  type RowDataPacket,
} from 'mysql2/promise';
import { orTimeout } from '../clock.ts';
import { SCHEMA } from './error-numbers.ts';
import { liftLimitsOnShow } from './session.ts';

/** `yes` takes writes. `last-resort` does too, but is catching up or serves as a donor. */
export interface Condition {
  readonly writes: 'yes' | 'last-resort' | 'no';
  /** Why not. */
  readonly why: string;
}

type Ask = (sql: string) => Promise<RowDataPacket[]>;

const YES: Condition = { writes: 'yes', why: '' };
const VARIABLES =
  "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only', 'innodb_read_only', 'offline_mode', 'wsrep_on', 'group_replication_group_name')";
const GALERA = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state')";
/** Fails if the member is not ONLINE in the majority of its group. Its result does not matter. */
const IN_GROUP = 'SELECT group_replication_get_communication_protocol()';
const [DONOR, JOINED, SYNCED] = ['2', '3', '4'];

/** @throws what mysql2 throws */
async function conditionOf(ask: Ask): Promise<Condition> {
  const variables = named(await ask(VARIABLES));
  for (const name of ['offline_mode', 'super_read_only', 'read_only', 'innodb_read_only']) {
    // MariaDB 12 has more values than ON and OFF.
    const value = variables.get(name) ?? 'OFF';
    if (value !== 'OFF' && value !== '0') return { writes: 'no', why: `${name} is ${value}` };
  }
  if (variables.get('wsrep_on') === 'ON') return galeraCondition(named(await ask(GALERA)));
  if (variables.get('group_replication_group_name')) return groupCondition(ask);
  return YES;
}

/** The condition of the connected server. @throws what mysql2 throws */
export function sessionCondition(connection: PoolConnection): Promise<Condition> {
  return conditionOf(async sql => (await connection.query<RowDataPacket[]>(sql))[0]);
}

/**
 * Must be called before a caller concludes that data is missing: a server that lost its role may lag behind.
 * @throws an error with the code NOT_WRITABLE, or what mysql2 throws
 */
export async function refuseOutdated(connection: PoolConnection): Promise<void> {
  const { writes, why } = await sessionCondition(connection);
  if (writes === 'no')
    throw Object.assign(new Error(`the host takes no writes: ${why}`), { code: 'NOT_WRITABLE' });
}

function galeraCondition(status: Map<string, string>): Condition {
  const state = status.get('wsrep_local_state') ?? '';
  if (status.get('wsrep_ready') !== 'ON') return { writes: 'no', why: 'wsrep_ready is not ON' };
  if (state === SYNCED) return YES;
  const why = `wsrep_local_state is ${state}`;
  return { writes: state === DONOR || state === JOINED ? 'last-resort' : 'no', why };
}

async function groupCondition(ask: Ask): Promise<Condition> {
  try {
    await ask(IN_GROUP);
    return YES;
  } catch (error) {
    const { errno = 0, fatal } = error as { errno?: number; fatal?: boolean };
    if (errno === 0 || fatal) throw error;
    // MySQL before 8.0.16.
    if (errno === SCHEMA.ER_SP_DOES_NOT_EXIST) return YES;
    return { writes: 'no', why: 'the member is not ONLINE in the majority of its group' };
  }
}

function named(rows: RowDataPacket[]): Map<string, string> {
  return new Map(rows.map(row => [String(row.Variable_name), String(row.Value)]));
}

/** Asks one host repeatedly, over its own connection. */
export class WritableProbe {
  readonly #options: ConnectionOptions;
  readonly #timeoutMs: number;
  #connection: Connection | undefined;
  #asking: Promise<Condition> | undefined;

  /** @param timeoutMs for one question, including a new connection if it needs one */
  constructor(options: ConnectionOptions, timeoutMs: number) {
    this.#options = options;
    this.#timeoutMs = timeoutMs;
  }

  /** Concurrent callers share one question. @throws what mysql2 throws, or an error with code ETIMEDOUT */
  ask(): Promise<Condition> {
    this.#asking ??= this.#askInTime().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #askInTime(): Promise<Condition> {
    const question = { isOver: false };
    try {
      return await orTimeout(this.#ask(question), this.#timeoutMs, 'no answer');
    } catch (error) {
      this.close();
      throw error;
    } finally {
      question.isOver = true;
    }
  }

  async #ask(question: { isOver: boolean }): Promise<Condition> {
    const connection = this.#connection ?? (await this.#connect());
    if (question.isOver) {
      connection.destroy();
      throw new Error('too late');
    }
    this.#connection = connection;
    return conditionOf(async sql => (await connection.query<RowDataPacket[]>(sql))[0]);
  }

  async #connect(): Promise<Connection> {
    const connection = await createConnection({ ...this.#options, connectTimeout: this.#timeoutMs });
    // Without a listener, the error of an idle connection would end the process.
    connection.on('error', () => {
      if (this.#connection === connection) this.close();
    });
    await liftLimitsOnShow(connection);
    return connection;
  }

  close(): void {
    this.#connection?.destroy();
    this.#connection = undefined;
  }
}
