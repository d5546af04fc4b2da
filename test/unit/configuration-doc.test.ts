// The generated files are those that the code generates: config.schema.json and the tables of docs/configuration.md.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { configSchema, configurationPage, pageFile, schemaFile } from '../../scripts/generate.ts';
import { variables } from '../../src/shared/config.ts';
import { environmentName, settingNames } from '../../src/shared/settings.ts';

it('publishes the schema of the definitions that the code checks', () => {
  expect(readFileSync(schemaFile, 'utf8')).toBe(configSchema());
});

it('documents every variable and setting as the code has it', () => {
  const page = readFileSync(pageFile, 'utf8');
  expect(page).toBe(configurationPage(page));
  for (const name of [...variables.map(variable => variable.name), ...settingNames.map(environmentName)])
    expect(page).toContain(`| \`${name}\` |`);
});
