// docs/mapping.md names exactly the codes with which a mapped update is put in quarantine.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { REFUSAL_CODES } from '../../src/shared/values/refusal.ts';
import { DATABASE_CODES } from '../support/mapped.ts';

it('the page explains every error code of the mapping tests', () => {
  const page = readFileSync(new URL('../../docs/mapping.md', import.meta.url), 'utf8');
  const documented = [...page.matchAll(/^\| `([A-Z0-9_]+)` +\|/gm)].map(match => match[1]);
  // Only an edit of a quarantined update can meet this one; docs/replay.md explains it.
  const mapped = REFUSAL_CODES.filter(code => code !== 'ID_IN_LEDGER');
  expect(documented.toSorted()).toEqual([...mapped, ...Object.values(DATABASE_CODES)].toSorted());
});
