/** Reads holds as MySQL has them, page by page. What Redis has beside that is there after the next flush. */
import * as z from 'zod';
import { ConfigurationError } from '../shared/errors.ts';
import { type Database, type Rows, readSql } from '../shared/mysql/database.ts';
import { HOLD_STATUSES, type HoldStatus } from '../shared/updates/hold.ts';
import { text } from './filter.ts';

const STATUSES = Object.values(HOLD_STATUSES) as [HoldStatus, ...HoldStatus[]];
const MOST_SECONDS = 1e9;

const filterSchema = z
  .strictObject({
    program: text.optional(),
    account: text.optional(),
    status: z.enum(STATUSES, { error: `must be one of ${STATUSES.join(', ')}` }).optional(),
    expiredFor: z.int().min(0).max(MOST_SECONDS).optional(),
  })
  .refine(({ status, expiredFor }) => expiredFor === undefined || (status ?? 'open') === 'open', {
    message: 'is about open holds only; leave the status out',
    path: ['expiredFor'],
  });

/**
 * All given criteria must hold. An empty filter selects everything.
 * - `expiredFor`: open holds whose time was over so many seconds ago. Workers end them within seconds, so an old one says
 *   that no worker runs, or that its partition does not flush
 */
export type HoldFilter = Readonly<z.input<typeof filterSchema>>;

/** A row of `sluice_holds`. Times are ISO 8601. */
export interface StoredHold {
  readonly program: string;
  readonly account: string;
  readonly id: string;
  readonly amount: number;
  readonly status: HoldStatus;
  /** How many points were taken; 0 unless it is posted. */
  readonly posted: number;
  /** By the clock of Redis; null if it never expires. */
  readonly expiresAt: string | null;
  readonly createdAt: string;
  /** Null if it is open. */
  readonly endedAt: string | null;
}

export interface HoldPage {
  /** In the order of program, account and id. */
  readonly holds: readonly StoredHold[];
  /** `after` of the next page; null at the end. */
  readonly next: string | null;
}

const LIST = readSql(new URL('./sql/list-holds.sql', import.meta.url));
const FIRST: Place = ['', '', ''];

/** @throws ConfigurationError, DatabaseUnavailableError, AccessDeniedError, DatabaseFailedError */
export async function listHolds(
  database: Database,
  filter: HoldFilter,
  limit: number,
  after: string | undefined,
): Promise<HoldPage> {
  const parsed = filterSchema.safeParse(filter);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      issue => `${issue.path.join('.') || 'filter'}: ${issue.message}`,
    );
    throw new ConfigurationError(`The filter of holds is not valid: ${problems.join('; ')}.`);
  }
  const { program, account, status, expiredFor } = parsed.data;
  const bytes = (value: string | undefined) => (value === undefined ? null : Buffer.from(value));
  const [p, a, h] = (after === undefined ? FIRST : placeOf(after)).map(one => Buffer.from(one));
  const wanted = [bytes(program), bytes(account), status ?? null, expiredFor ?? null];
  // One more than asked tells whether there is a next page.
  const parameters = [p, p, a, p, a, h, ...wanted.flatMap(one => [one, one]), limit + 1];
  const rows = await database.explained(() => database.query(LIST, parameters));
  const holds = rows.slice(0, limit).map(toStoredHold);
  const last = holds.at(-1);
  const next = last && rows.length > limit ? cursorOf([last.program, last.account, last.id]) : null;
  return { holds, next };
}

/** A hold by its program, account and id. */
type Place = [program: string, account: string, hold: string];

/** Callers must not rely on what is in a cursor. */
function cursorOf(place: Place): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

/** @throws ConfigurationError */
function placeOf(cursor: string): Place {
  try {
    const place = z.tuple([z.string(), z.string(), z.string()]);
    return place.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
  } catch (cause) {
    throw new ConfigurationError('"after" is not what the page before had as "next"; copy it whole.', {
      cause,
    });
  }
}

function toStoredHold(row: Rows[number]): StoredHold {
  const time = (value: unknown) => (value === null ? null : (value as Date).toISOString());
  return {
    program: String(row.program),
    account: String(row.account),
    id: String(row.hold_id),
    amount: Number(row.amount),
    status: row.status as HoldStatus,
    posted: Number(row.posted),
    expiresAt: time(row.expires_at),
    createdAt: time(row.created_at)!,
    endedAt: time(row.ended_at),
  };
}
