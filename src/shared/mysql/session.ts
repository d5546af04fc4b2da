/**
 * Sets up a session before its first use, so that settings of the server, `init_connect` or a proxy do not
 * change the meaning of a statement. One statement sets every variable of session-variables.ts that the
 * server knows, a second one reads the values back.
 */
import type { Connection, PoolConnection, RowDataPacket } from 'mysql2/promise';
import { DatabaseUnsuitableError } from '../errors.ts';
import { classifyDatabaseError } from './errors.ts';
import {
  isAccepted,
  type SessionTimes,
  type SessionVariable,
  sessionVariables,
  sqlOf,
} from './session-variables.ts';
import { LEAST_PACKET, notePacket } from './statement-size.ts';

interface Named {
  readonly name: string;
  readonly variable: SessionVariable;
}

/** The variables of the catalogue that a server has. */
interface Learnt {
  readonly version: string;
  readonly values: ReadonlyMap<string, string>;
  readonly known: readonly Named[];
  /** Those of `known` that the server, a proxy and this user's rights allow to set. */
  settable: readonly Named[];
}

/** One character of each length in UTF-8, as text and as the bytes that must arrive. */
const PROBE = 'aé日😀';
const PROBE_BYTES = Buffer.from(PROBE).toString('hex').toUpperCase();

/** Prepares the sessions of one host's pool. */
export class SessionSetUp {
  readonly #address: string;
  readonly #prepared = new WeakSet<object>();
  /** All sessions share what the first one learns: SHOW answers with hundreds of rows. */
  #learnt: Promise<Learnt> | undefined;

  /** @param address for messages */
  constructor(address: string) {
    this.#address = address;
  }

  /**
   * Does nothing if the session was prepared before with the same times.
   * @param areOthers whether `times` differ from those of the pool
   * @throws DatabaseUnsuitableError, or what mysql2 throws
   */
  async prepare(connection: PoolConnection, times: SessionTimes, areOthers = false): Promise<void> {
    if (this.#prepared.has(connection.connection) && !areOthers) return;
    for (;;) {
      // The session that learnt it may have been lost before the answer.
      const shared = await this.#learnt?.catch(() => undefined);
      const learnt = shared ?? (await this.#learn(connection));
      await set(connection, learnt, times);
      const row = await this.#readBack(connection, learnt);
      // One name may stand for several servers of different versions.
      if (shared && String(row.version) !== learnt.version) {
        this.#learnt = undefined;
        continue;
      }
      this.#check(row, learnt, times);
      notePacket(connection, Number(row.max_allowed_packet));
      this.#prepared.add(connection.connection);
      return;
    }
  }

  #learn(connection: PoolConnection): Promise<Learnt> {
    this.#learnt = learn(connection);
    return this.#learnt;
  }

  async #readBack(connection: PoolConnection, { known }: Learnt): Promise<RowDataPacket> {
    const columns = known
      .filter(({ variable }) => variable.must !== undefined)
      .map(({ name, variable }) => `${variable.read ?? `@@SESSION.${name}`} AS ${name}`);
    const probes = [`HEX('${PROBE}') AS text_sent`, `'${PROBE}' AS text_received`];
    const others = ['@@version AS version', '@@SESSION.max_allowed_packet AS max_allowed_packet'];
    const [[row]] = await connection.query<RowDataPacket[]>(
      `SELECT ${[...columns, ...probes, ...others].join(', ')}`,
    );
    if (!row)
      throw this.#unsuitable(
        'answers SELECT @@SESSION... with no row; check whether a proxy changes answers.',
      );
    return row;
  }

  #check(row: RowDataPacket, { known, values }: Learnt, times: SessionTimes): void {
    for (const { name, variable } of known) {
      const value = String(row[name]);
      if (variable.must === undefined || isAccepted(variable, value, times, values)) continue;
      const wanted = variable.set === undefined ? '' : `, although it was set to ${sqlOf(variable, times)}`;
      throw this.#unsuitable(
        `has ${name} = ${value} in a session of Sluice${wanted}: ${variable.why}. Check the server's setting, the user's rights, and whether a proxy leaves out SET.`,
      );
    }
    const packet = Number(row.max_allowed_packet);
    if (packet < LEAST_PACKET)
      throw this.#unsuitable(
        `has max_allowed_packet = ${packet}, but the longest single update takes a statement of up to ${LEAST_PACKET} bytes; set max_allowed_packet to at least that (the default is 16 MB or more).`,
      );
    if (row.text_sent !== PROBE_BYTES || row.text_received !== PROBE)
      throw this.#unsuitable(
        `garbles texts: ${PROBE} arrives as the bytes ${row.text_sent} and comes back as ${row.text_received}. Check whether a proxy uses its own character set.`,
      );
  }

  #unsuitable(what: string): DatabaseUnsuitableError {
    return new DatabaseUnsuitableError(`The database at ${this.#address} ${what}`);
  }
}

/**
 * Variables that may cut SHOW short or refuse it, with values that do not. The first line is for every
 * server, the others are for some.
 */
const SHOW_SETTINGS = [
  'sql_select_limit = 18446744073709551615, @@SESSION.max_join_size = 18446744073709551615, @@SESSION.sql_big_selects = 1',
  'max_execution_time = 0',
  'max_statement_time = 0',
  'tmp_disk_table_size = 18446744073709551615',
  'max_session_mem_used = 9223372036854775807',
];

export async function liftLimitsOnShow(connection: Pick<Connection, 'query'>): Promise<void> {
  for (const setting of SHOW_SETTINGS) {
    try {
      await connection.query(`SET @@SESSION.${setting}`);
    } catch (error) {
      // A refused one keeps its value; reading back shows whether that matters.
      if (!isRefusal(error)) throw error;
    }
  }
}

async function learn(connection: PoolConnection): Promise<Learnt> {
  await liftLimitsOnShow(connection);
  const [rows] = await connection.query<RowDataPacket[]>('SHOW SESSION VARIABLES');
  const values = new Map(rows.map(row => [String(row.Variable_name).toLowerCase(), String(row.Value)]));
  const known = sessionVariables.flatMap(variable => {
    const name = variable.names.find(candidate => values.has(candidate));
    return name === undefined ? [] : [{ name, variable }];
  });
  const settable = known.filter(({ variable }) => variable.set !== undefined);
  return { version: values.get('version')!, values, known, settable };
}

/** Sets all at once, or one by one if that is refused. Reading back shows whether a refusal matters. */
async function set(connection: PoolConnection, learnt: Learnt, times: SessionTimes): Promise<void> {
  const statement = (named: readonly Named[]) =>
    `SET ${named.map(({ name, variable }) => `@@SESSION.${name} = ${sqlOf(variable, times)}`).join(', ')}`;
  try {
    await connection.query(statement(learnt.settable));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const taken: Named[] = [];
    for (const named of learnt.settable) {
      try {
        await connection.query(statement([named]));
        taken.push(named);
      } catch (refusal) {
        if (!isRefusal(refusal)) throw refusal;
      }
    }
    learnt.settable = taken;
  }
}

function isRefusal(error: unknown): boolean {
  const { errno = 0, fatal } = error as { errno?: number; fatal?: boolean };
  return errno > 0 && fatal !== true && classifyDatabaseError(error) === 'other';
}
