/**
 * Makes the shop's own tables: each part has those that it owns in its `schema.sql`. `sluice migrate` makes those of
 * Sluice. It may run again at any time.
 */
import { globSync, readFileSync } from 'node:fs';
import { settings } from './settings.ts';
import { connectDatabase } from './shop.ts';

const database = connectDatabase(settings);
for (const file of globSync('*/schema.sql', { cwd: import.meta.dirname }).sort()) {
  const statements = readFileSync(`${import.meta.dirname}/${file}`, 'utf8').split(/;\s*$/m);
  for (const statement of statements) if (statement.trim() !== '') await database.query(statement);
}
await database.end();
