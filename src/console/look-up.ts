/** The routes of one key: its parts and whether they add up, its ledger, and its repair. */
import * as z from 'zod';
import { Calls } from '../producer/calls.ts';
import { type HistoryEntry, Reads } from '../producer/reads.ts';
import { repairKey } from '../recovery/verify.ts';
import { systemClock } from '../shared/clock.ts';
import { shownKey } from '../shared/composite-key.ts';
import type { Settings } from '../shared/config/settings.ts';
import { shownTarget, type Target } from '../shared/config/target.ts';
import { ROW_KINDS, SHOWN_KINDS } from '../shared/item.ts';
import { LIMITS } from '../shared/limits.ts';
import type { OpenServers } from '../shared/open-servers.ts';
import type { LiveKey } from '../shared/redis/live-keys.ts';
import { type Comparison, heldDigits, liveDigits } from '../shared/values/comparison.ts';
import type { Count, Ledger, LedgerEntry, LookUp, Repaired } from './answers.ts';
import { countUpTo } from './counts.ts';
import { accountQuery, authorOf, keyBody, keyQuery, limit, liveKeyOf, oneText } from './inputs.ts';
import { type KeyParts, keyParts, readLiveText } from './key-parts.ts';
import { type Route, route } from './route.ts';

const ledgerQuery = z.strictObject({
  ...accountQuery,
  before: oneText(LIMITS.id).optional(),
  limit: limit(200),
});

export const lookUpRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/look-up',
    role: 'viewer',
    shape: { query: keyQuery },
    async handle({ query }, { definitions, config, servers }) {
      return { body: await lookUp(servers(), liveKeyOf(query, definitions), config.settings.liveTtlMs) };
    },
  }),
  route({
    method: 'GET',
    path: '/api/look-up/ledger',
    role: 'viewer',
    shape: { query: ledgerQuery },
    async handle({ query: { name, key, before, limit = 50 }, asker }, { definitions, config, servers }) {
      liveKeyOf({ kind: 'points', name, key }, definitions);
      const options = { limit, ...(before === undefined ? {} : { before }) };
      const page = await readsOf(servers(), config.settings).history(name, key, options);
      const entries = page.map(entry => shownEntry(entry, asker.seesPayloads));
      const next = page.length === limit ? page.at(-1)!.id : null;
      return { body: { entries, next } satisfies Ledger };
    },
  }),
  route({
    method: 'POST',
    path: '/api/look-up/repair',
    role: 'operator',
    shape: { body: keyBody },
    async handle({ body, asker }, { definitions, servers }) {
      const author = authorOf(asker, body.reason);
      const { operation, before } = await repairKey(servers(), liveKeyOf(body, definitions), author);
      return { body: { operation, ...repairedFrom(before) } satisfies Repaired };
    },
  }),
];

/** What a repair made of a live value; a cold one stays cold, and one that would be out of range becomes cold. */
function repairedFrom(before: Comparison): Omit<Repaired, 'operation'> {
  const { live, expected, held = 0, expectedHeld = 0 } = before;
  if (live === undefined) return { was: null, became: null, held: null };
  const became = expected === null || Number.isSafeInteger(expected) ? expected : null;
  return {
    was: liveDigits(before),
    became: became === null ? null : String(became),
    held: held === 0 && expectedHeld === 0 ? null : { was: heldDigits(before), became: String(expectedHeld) },
  };
}

async function lookUp(servers: OpenServers, key: LiveKey, liveTtlMs: number): Promise<LookUp> {
  const [parts, updates, holds] = await Promise.all([
    keyParts(servers, key, liveTtlMs),
    countQuarantined(servers, key),
    openHolds(servers, key),
  ]);
  const { mysql, quarantine, inFlight, pending, expected, live, unsettled } = parts;
  const number = live === undefined ? null : readLiveText(key.kind, live);
  return {
    kind: SHOWN_KINDS[key.kind],
    name: key.name,
    key: key.key,
    shownKey: shownKey(key.key),
    partition: parts.partition,
    live: { state: live === undefined ? 'cold' : 'live', value: exact(number?.value) },
    parts: {
      mysql: exact(mysql),
      quarantine: { amount: String(quarantine ?? 0), updates },
      inFlight: { amount: String(inFlight.amount), updates: inFlight.updates },
      pending: { amount: String(pending.amount), updates: pending.updates },
    },
    expected: exact(expected),
    drift: number === null || expected === null ? null : String(number.value - expected),
    settled: unsettled === undefined,
    unsettledWhy: unsettled ?? null,
    held: heldOf(parts, number?.held, key),
    ttlSeconds: parts.ttlSeconds,
    target: columnOf(servers.tables.mapped(key.kind, key.name)),
    ...holds,
  };
}

function exact(number: bigint | null | undefined): string | null {
  return number === null || number === undefined ? null : String(number);
}

/** Null unless somebody holds points of the account, or its live value says so. */
function heldOf({ held, unsettled }: KeyParts, live: bigint | undefined, { kind }: LiveKey): LookUp['held'] {
  if (kind !== 'p' || (held === 0n && !live)) return null;
  return { live: exact(live), expected: unsettled === undefined ? String(held) : null };
}

function columnOf(target: Target | undefined): string | null {
  return target ? shownTarget(target) : null;
}

/** Rows that are counted at most. */
const COUNTED = 10_000;
const COUNT =
  'SELECT COUNT(*) AS found FROM (SELECT 1 FROM sluice_quarantine WHERE kind = ? AND name = ? AND item_key = ? LIMIT ?) q';

async function countQuarantined({ database }: OpenServers, { kind, name, key }: LiveKey): Promise<Count> {
  const [row] = await database.query(COUNT, [
    ROW_KINDS[kind],
    Buffer.from(name),
    Buffer.from(key),
    COUNTED + 1,
  ]);
  return countUpTo(COUNTED, Number(row!.found));
}

const SHOWN_HOLDS = 100;
const HOLDS =
  "SELECT hold_id, amount, created_at, expires_at FROM sluice_holds WHERE program = ? AND account = ? AND status = 'open' LIMIT ?";

async function openHolds(
  { database }: OpenServers,
  { kind, name, key }: LiveKey,
): Promise<Pick<LookUp, 'openHolds' | 'moreHolds'>> {
  if (kind !== 'p') return { openHolds: [], moreHolds: false };
  const rows = await database.query(HOLDS, [Buffer.from(name), Buffer.from(key), SHOWN_HOLDS + 1]);
  const shown = rows.slice(0, SHOWN_HOLDS).map(row => ({
    id: String(row.hold_id),
    amount: String(row.amount),
    createdAt: (row.created_at as Date).toISOString(),
    expiresAt: row.expires_at === null ? null : (row.expires_at as Date).toISOString(),
  }));
  return { openHolds: shown, moreHolds: rows.length > SHOWN_HOLDS };
}

/** One for each connection, since each listens to it. */
const reads = new WeakMap<OpenServers, Reads>();

function readsOf(servers: OpenServers, settings: Settings): Reads {
  const known = reads.get(servers);
  if (known) return known;
  const { redis, address, database, keys, cold } = servers;
  const calls = new Calls(redis, address, systemClock);
  const made = new Reads({ redis, calls, database, keys, cold, settings });
  reads.set(servers, made);
  return made;
}

function shownEntry(entry: HistoryEntry, seesPayloads: boolean): LedgerEntry {
  const { id, amount, balanceAfter, reason, metadataText, transfer, otherAccount, hold } = entry;
  return {
    id,
    amount: String(amount),
    balanceAfter: balanceAfter === null ? null : String(balanceAfter),
    reason: seesPayloads ? reason : null,
    metadata: seesPayloads ? metadataText : null,
    ...{ transfer, otherAccount, hold },
    createdAt: entry.createdAt.toISOString(),
    persisted: entry.persisted,
  };
}
