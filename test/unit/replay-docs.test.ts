// docs/replay.md has the options of the commands, and the codes with which updates are quarantined.

import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { expect, it } from 'vitest';
import { addFailed } from '../../src/cli/failed.ts';
import { addHolds } from '../../src/cli/holds.ts';
import { addTransfers } from '../../src/cli/transfers.ts';
import { REFUSAL_CODES } from '../../src/shared/values/refusal.ts';
import { DATABASE_CODES } from '../support/mapped.ts';

const page = readFileSync(new URL('../../docs/replay.md', import.meta.url), 'utf8');

it('the page has every option with its commands', () => {
  const documented = [...page.matchAll(/^\| ((?:`--[a-z-]+`(?:, )?)+) \| ([a-z, ]+) \|/gm)].flatMap(
    ([, options, commands]) =>
      [...options!.matchAll(/--[a-z-]+/g)].flatMap(([option]) =>
        commands!.split(', ').map(command => `${command} ${option}`),
      ),
  );
  const failed = addFailed(new Command(), () => {}).commands;
  const transfers = addTransfers(new Command(), () => {}).commands;
  const holds = addHolds(new Command(), () => {}).commands;
  const named = [
    ...failed.map(command => [command.name(), command] as const),
    ...transfers.map(command => [`transfers ${command.name()}`, command] as const),
    ...holds.map(command => [`holds ${command.name()}`, command] as const),
  ];
  const options = named.flatMap(([name, command]) => command.options.map(option => `${name} ${option.long}`));
  expect(documented.toSorted()).toEqual(options.toSorted());
  for (const command of failed) expect(page).toContain(`\nsluice failed ${command.name()}`);
  for (const command of holds) expect(page).toContain(`\nsluice holds ${command.name()}`);
  for (const command of transfers) expect(page).toContain(`\nsluice transfers ${command.name()}`);
});

it('the page explains every code of Sluice, and those of MySQL that tests show', () => {
  const codes = [...page.matchAll(/^\| ((?:`[A-Z0-9_]+`(?:, )?)+) \|/gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`([A-Z0-9_]+)`/g)].map(([, code]) => code),
  );
  expect(codes.toSorted()).toEqual([...REFUSAL_CODES, ...Object.values(DATABASE_CODES)].toSorted());
});
