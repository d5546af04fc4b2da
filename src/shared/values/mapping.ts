/** Opens the table of each counter, program and value: Sluice's own, or the one that its definition maps it to. */
import { type Definitions, definedNames, definitionOf } from '../config/definitions.ts';
import type { Target } from '../config/target.ts';
import { DatabaseUnsuitableError, SluiceError } from '../errors.ts';
import { type Kind, ownerOf, ROW_KINDS } from '../item.ts';
import { type Database, readSql } from '../mysql/database.ts';
import { databaseError } from '../mysql/errors.ts';
import { OwnTable, type ValueTables } from './tables.ts';
import { type CheckedTarget, checkTarget } from './target-check.ts';
import { TargetTable } from './target-table.ts';

interface Mapping {
  readonly kind: Kind;
  readonly name: string;
  readonly target: Target;
}

/** Listeners of a process that opens tables. */
export interface TableEvents {
  /** Called once for each used name without a definition: a process that defines it may have mapped it. */
  readonly onUndefined?: (kind: Kind, name: string) => void;
  /** Called for each mapping that fitted before and does not fit now. */
  readonly onUnfit?: (table: TargetTable, error: DatabaseUnsuitableError) => void;
}

export interface OpenTables extends ValueTables {
  /** The mapped tables. */
  readonly targets: readonly TargetTable[];
}

/** For commands that may need no values: each use of a table throws the error. */
export function failingTables(error: Error): OpenTables {
  const fail = () => {
    throw error;
  };
  return { of: fail, mapped: fail, floor: fail, targets: [] };
}

const RECORD = readSql(new URL('./sql/record-target.sql', import.meta.url));

/**
 * Checks every target against the catalogue of the server. If a mapping fitted when a worker checked it
 * before, its table was changed: only its updates wait. Any other mapping that does not fit is a mistake in
 * the definitions.
 * @throws DatabaseUnsuitableError, DatabaseUnavailableError, AccessDeniedError
 */
export async function openTables(
  database: Database,
  definitions: Definitions,
  { onUndefined = () => {}, onUnfit = () => {} }: TableEvents = {},
): Promise<OpenTables> {
  const names = definedNames(definitions);
  const mappings = names.flatMap(({ kind, name }) => {
    const target = definitionOf(kind, name, definitions)!.target;
    return target ? [{ kind, name, target }] : [];
  });
  const tables = new Map<string, TargetTable>();
  const owners = new Map<string, string>();
  try {
    for (const { kind, name, target } of mappings) {
      const owner = ownerOf(kind, name);
      const checked = await checkOrRemember(database, { kind, name, target });
      const table = new TargetTable(kind, name, target, checked);
      tables.set(kind + name, table);
      if (checked instanceof DatabaseUnsuitableError) {
        onUnfit(table, checked);
        continue;
      }
      const column = JSON.stringify([checked.schema, checked.table, checked.column]);
      const other = owners.get(column);
      // The column would have the updates of both, but each live value only its own.
      if (other)
        throw new DatabaseUnsuitableError(
          `The ${owner} and the ${other} are both mapped to ${target.table}.${target.column}; give each a column of its own.`,
        );
      owners.set(column, owner);
    }
  } catch (error) {
    throw error instanceof SluiceError ? error : databaseError(error, database.address);
  }
  const own = Object.fromEntries(
    (Object.keys(ROW_KINDS) as Kind[]).map(kind => [kind, new OwnTable(kind)]),
  ) as Record<Kind, OwnTable>;
  const known = new Set(names.map(({ kind, name }) => kind + name));
  return {
    of: (kind, name) => {
      if (!known.has(kind + name)) {
        known.add(kind + name);
        onUndefined(kind, name);
      }
      return tables.get(kind + name) ?? own[kind];
    },
    mapped: (kind, name) => tables.get(kind + name)?.target,
    targets: [...tables.values()],
    floor: program =>
      Object.hasOwn(definitions.points, program) ? definitions.points[program]!.floor : undefined,
  };
}

/** Returns a refusal only if the same mapping fitted before. @throws DatabaseUnsuitableError for any other */
async function checkOrRemember(
  database: Database,
  { kind, name, target }: Mapping,
): Promise<CheckedTarget | DatabaseUnsuitableError> {
  try {
    return await database.session(connection => checkTarget(connection, kind, name, target));
  } catch (error) {
    if (!(error instanceof DatabaseUnsuitableError)) throw error;
    const [known] = await database.query('SELECT target FROM sluice_targets WHERE kind = ? AND name = ?', [
      ROW_KINDS[kind],
      Buffer.from(name),
    ]);
    if (String(known?.target) !== JSON.stringify(target)) throw error;
    return error;
  }
}

/** Records that the mapping fits, for later processes. @throws what mysql2 threw */
export async function recordTarget(database: Database, { kind, name, target }: TargetTable): Promise<void> {
  await database.query(RECORD, [ROW_KINDS[kind], Buffer.from(name), Buffer.from(JSON.stringify(target))]);
}
