/** How many transfers wait for their credit, by program: for the metrics, `status` and `drain`. */
import type { PoolConnection } from 'mysql2/promise';
import { queryRows, readSql } from '../mysql/database.ts';

/** Transfers of a program whose debit is in MySQL and whose credit is not. */
export interface WaitingTransfers {
  readonly program: string;
  /** Workers drive these. */
  readonly inTransit: number;
  /** How long the oldest of them has waited since its debit, seconds; 0 if there is none. */
  readonly oldestSeconds: number;
  /** MySQL refuses the credits of these, and they wait for an operator. */
  readonly aside: number;
  readonly oldestAsideSeconds: number;
}

const WAITING = readSql(new URL('./sql/waiting-transfers.sql', import.meta.url));

/** Programs with transfers that wait, in the order of their names. @throws what mysql2 throws */
export async function readWaitingTransfers(connection: PoolConnection): Promise<WaitingTransfers[]> {
  const rows = await queryRows(connection, WAITING);
  return [...Map.groupBy(rows, row => String(row.program))].map(([program, states]) => {
    const of = (state: 'open' | 'aside') => states.find(row => row.state === state);
    const count = (state: 'open' | 'aside') => Number(of(state)?.transfers ?? 0);
    // The server that answers may have another clock than the one that wrote the row.
    const age = (state: 'open' | 'aside') => Math.max(0, Number(of(state)?.oldest ?? 0)) / 1_000_000;
    return {
      program,
      inTransit: count('open'),
      oldestSeconds: age('open'),
      aside: count('aside'),
      oldestAsideSeconds: age('aside'),
    };
  });
}
