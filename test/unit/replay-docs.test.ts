// docs/replay.md has the options of the commands, and the codes with which updates are quarantined.

import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { expect, it } from 'vitest';
import { addFailed } from '../../src/cli/failed.ts';
import { REFUSAL_CODES } from '../../src/shared/values/refusal.ts';
import { DATABASE_CODES } from '../support/mapped.ts';

const page = readFileSync(new URL('../../docs/replay.md', import.meta.url), 'utf8');

it('the page has every option with its commands', () => {
  const documented = [...page.matchAll(/^\| `(--[a-z-]+)` \| ([a-z, ]+) \|/gm)].flatMap(
    ([, option, commands]) => commands!.split(', ').map(command => `${command} ${option}`),
  );
  const commands = addFailed(new Command(), () => {}).commands;
  const options = commands.flatMap(command =>
    command.options.map(option => `${command.name()} ${option.long}`),
  );
  expect(documented.toSorted()).toEqual(options.toSorted());
  for (const command of commands) expect(page).toContain(`\nsluice failed ${command.name()}`);
});

it('the page explains every code of Sluice, and those of MySQL that tests show', () => {
  const codes = [...page.matchAll(/^\| ((?:`[A-Z0-9_]+`(?:, )?)+) \|/gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`([A-Z0-9_]+)`/g)].map(([, code]) => code),
  );
  expect(codes.toSorted()).toEqual([...REFUSAL_CODES, ...Object.values(DATABASE_CODES)].toSorted());
});
