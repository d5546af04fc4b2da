/** What a process tells of itself: its version, its settings without secrets, and a digest of its definitions. */
import { createHash } from 'node:crypto';
import type { ProcessFacts, ProcessRole } from '../redis/heartbeat.ts';
import type { Definitions } from './definitions.ts';
import { environmentName, type SettingName, type Settings } from './settings.ts';
import { packageVersion } from './version.ts';

/** @param more settings that are no numbers, by the names of their variables */
export function processFacts(
  role: ProcessRole,
  settings: Settings,
  definitions: Definitions,
  more: Readonly<Record<string, string>> = {},
): ProcessFacts {
  const shown = Object.entries(settings).map(([name, value]) => [
    environmentName(name as SettingName),
    String(value),
  ]);
  return {
    role,
    version: packageVersion(),
    settings: { ...Object.fromEntries(shown), ...more },
    definitions: definitionsDigest(definitions),
  };
}

/** Equal for definitions that mean the same, whatever the order of their names. */
export function definitionsDigest(definitions: Definitions): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(definitions)))
    .digest('hex')
    .slice(0, 12);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, inner]) => [name, sorted(inner)]));
}
