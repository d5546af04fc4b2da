// Writes the files that follow from the code: config.schema.json, and the tables of docs/configuration.md.
// A unit test compares both with the code; run this again when it fails: npm run generate

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { variables } from '../src/shared/config.ts';
import { definitionsSchema } from '../src/shared/definitions.ts';
import { environmentName, settingNames, settingsCatalogue } from '../src/shared/settings.ts';

export const schemaFile = new URL('../config.schema.json', import.meta.url);
export const pageFile = new URL('../docs/configuration.md', import.meta.url);

/** The JSON Schema of sluice.config.json, as users write it: what has a default may be left out. */
export function configSchema(): string {
  const schema = z.toJSONSchema(definitionsSchema, { io: 'input' });
  const title = 'Definitions of Sluice: counters and points programs';
  return `${JSON.stringify({ title, ...schema }, null, 2)}\n`;
}

/** The page with both of its tables as the code has them now. */
export function configurationPage(page: string): string {
  const environment = table(
    ['Variable', 'Default', 'What it is'],
    variables.map(({ name, default: preset, what }) => [code(name), preset && code(preset), what]),
  );
  const settings = table(
    ['Variable', 'In code', 'Default', 'From', 'To', 'Why this default'],
    settingNames.map(name => {
      const { default: preset, min, max, why } = settingsCatalogue[name];
      return [code(environmentName(name)), code(name), ...[preset, min, max].map(String), why];
    }),
  );
  return replace(replace(page, 'environment', environment), 'settings', settings);
}

function code(text: string): string {
  return text === 'required' ? text : `\`${text}\``;
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function replace(page: string, name: string, content: string): string {
  const place = new RegExp(`(<!-- generated: ${name} -->\n)[^]*?(\n<!-- end -->)`);
  if (!place.test(page)) throw new Error(`docs/configuration.md has no place for the table "${name}"`);
  return page.replace(place, (_, before: string, after: string) => before + content + after);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(schemaFile, configSchema());
  writeFileSync(pageFile, configurationPage(readFileSync(pageFile, 'utf8')));
}
