/**
 * Whether a MySQL server takes writes and knows the latest ones: a primary and no replica, inside the majority of its
 * group, synced with its cluster. Asked with statements that need no right and never wait for other members.
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

/** Only `yes` takes writes; `last-resort` would, but is catching up or serves as a donor. */
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
/** Fails unless the member is ONLINE and in the majority of its group; the answer itself does not matter. */
const IN_GROUP = 'SELECT group_replication_get_communication_protocol()';
const [DONOR, JOINED, SYNCED] = ['2', '3', '4'];

/** @throws what mysql2 throws */
async function conditionOf(ask: Ask): Promise<Condition> {
  const variables = named(await ask(VARIABLES));
  for (const name of ['offline_mode', 'super_read_only', 'read_only', 'innodb_read_only']) {
    // MariaDB 12 knows several ways to be read-only.
    const value = variables.get(name) ?? 'OFF';
    if (value !== 'OFF' && value !== '0') return { writes: 'no', why: `${name} is ${value}` };
  }
  if (variables.get('wsrep_on') === 'ON') return galeraCondition(named(await ask(GALERA)));
  if (variables.get('group_replication_group_name')) return groupCondition(ask);
  return YES;
}

/** The condition of the server at the other end. @throws what mysql2 throws */
export function sessionCondition(connection: PoolConnection): Promise<Condition> {
  return conditionOf(async sql => (await connection.query<RowDataPacket[]>(sql))[0]);
}

/**
 * For who is about to conclude something from what this server does not know: a server that lost its place may be behind.
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
    // Before MySQL 8.0.16.
    if (errno === SCHEMA.ER_SP_DOES_NOT_EXIST) return YES;
    return { writes: 'no', why: 'the member is not ONLINE in the majority of its group' };
  }
}

function named(rows: RowDataPacket[]): Map<string, string> {
  return new Map(rows.map(row => [String(row.Variable_name), String(row.Value)]));
}

/** Asks one host again and again over a connection of its own. */
export class WritableProbe {
  readonly #options: ConnectionOptions;
  readonly #timeoutMs: number;
  #connection: Connection | undefined;
  #asking: Promise<Condition> | undefined;

  /** @param timeoutMs for a whole question, with the connection that it may need */
  constructor(options: ConnectionOptions, timeoutMs: number) {
    this.#options = options;
    this.#timeoutMs = timeoutMs;
  }

  /** One question at a time: who asks meanwhile gets the same answer. @throws what mysql2 throws, or code ETIMEDOUT */
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
    // One that ends while nothing is asked would end the process if nobody listened.
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
