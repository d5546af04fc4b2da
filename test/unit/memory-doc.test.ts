// docs/memory.md is what `npm run memory` writes, and its figures are within the promised bytes.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { figuresOf, memoryPage, pageFile, promised } from '../../bench/memory-page.ts';
import { settingsCatalogue } from '../../src/shared/config/settings.ts';

const page = readFileSync(pageFile, 'utf8');
const figures = figuresOf(page);

it('the page has its figures as the measurement writes them', () => {
  expect(page).toBe(memoryPage(page, figures, settingsCatalogue.partitions.default));
});

it('the page has every server, within the promised bytes', () => {
  expect(figures.map(({ server }) => server.replace(/\..*/, ''))).toEqual(['Redis 7', 'Redis 8', 'Valkey 9']);
  for (const one of figures)
    for (const [name, most] of Object.entries(promised)) {
      expect(one[name as 'entry'], `${name} on ${one.server}`).toBeGreaterThan(0);
      expect(one[name as 'entry'], `${name} on ${one.server}`).toBeLessThanOrEqual(Number(most));
    }
});
