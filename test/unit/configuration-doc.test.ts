// config.schema.json and the tables of docs/configuration.md are what the code generates.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { configSchema, configurationPage, pageFile, schemaFile } from '../../scripts/generate.ts';
import { variables } from '../../src/shared/config/config.ts';
import { environmentName, settingNames } from '../../src/shared/config/settings.ts';

it('config.schema.json is the schema that the code checks definitions with', () => {
  expect(readFileSync(schemaFile, 'utf8')).toBe(configSchema());
});

it('docs/configuration.md has every variable and setting as the code has it', () => {
  const page = readFileSync(pageFile, 'utf8');
  expect(page).toBe(configurationPage(page));
  for (const name of [...variables.map(variable => variable.name), ...settingNames.map(environmentName)])
    expect(page).toContain(`| \`${name}\` |`);
});
