/** Which table each counter and program uses: Sluice's own, or the one that its definition maps it to. */
import type { Definitions, Target } from './definitions.ts';
import { DatabaseUnsuitableError, SluiceError } from './errors.ts';
import type { Kind } from './keys.ts';
import { MappedTable } from './mapped-table.ts';
import type { Database } from './mysql.ts';
import { databaseError } from './mysql-errors.ts';
import { OwnTable, type ValueTable, type ValueTables } from './tables.ts';
import { checkTarget } from './target-check.ts';

interface Mapping {
  readonly kind: Kind;
  readonly name: string;
  readonly target: Target;
}

/**
 * Checks every target against the catalogue of the connected server.
 * @param onUndefined told once of each name that is used and not defined: whoever defines it may have mapped it
 * @throws DatabaseUnsuitableError, DatabaseUnavailableError, AccessDeniedError
 */
export async function openTables(
  database: Database,
  definitions: Definitions,
  onUndefined: (kind: Kind, name: string) => void = () => {},
): Promise<ValueTables> {
  const mappings = [...mappingsOf('c', definitions.counters), ...mappingsOf('p', definitions.points)];
  const tables = new Map<string, ValueTable>();
  const targets = new Map(mappings.map(({ kind, name, target }) => [kind + name, target]));
  const owners = new Map<string, string>();
  try {
    for (const { kind, name, target } of mappings) {
      const owner = `${kind === 'c' ? 'counter' : 'program'} ${JSON.stringify(name)}`;
      const checked = await database.session(connection => checkTarget(connection, owner, target));
      const place = JSON.stringify([checked.schema, checked.table, checked.column]);
      const other = owners.get(place);
      // Each would hold the other's updates in its value, but not in its live value.
      if (other)
        throw new DatabaseUnsuitableError(
          `${owner} and ${other} are both mapped to ${target.table}.${target.column}; give each a column of its own.`,
        );
      owners.set(place, owner);
      tables.set(kind + name, new MappedTable(kind, checked));
    }
  } catch (error) {
    throw error instanceof SluiceError ? error : databaseError(error, database.place);
  }
  const own = { c: new OwnTable('c'), p: new OwnTable('p') };
  const named = { c: definitions.counters, p: definitions.points };
  const known = new Set(
    (['c', 'p'] as const).flatMap(kind => Object.keys(named[kind]).map(name => kind + name)),
  );
  return {
    of: (kind, name) => {
      if (!known.has(kind + name)) {
        known.add(kind + name);
        onUndefined(kind, name);
      }
      return tables.get(kind + name) ?? own[kind];
    },
    mapped: (kind, name) => targets.get(kind + name),
  };
}

function mappingsOf(kind: Kind, named: Readonly<Record<string, { target?: Target | undefined }>>): Mapping[] {
  return Object.entries(named).flatMap(([name, { target }]) => (target ? [{ kind, name, target }] : []));
}
