// How transfers are put into pages of one partition, before any server is asked.

import { expect, it } from 'vitest';
import { inPages } from '../../src/replay/transfer-changes.ts';
import type { TransitTransfer } from '../../src/replay/transfers.ts';

async function pagesOf(partitions: readonly number[]) {
  async function* rows() {
    for (const [n, partition] of partitions.entries())
      yield { transfer: `t${n}`, partition } as TransitTransfer;
  }
  const pages: (readonly TransitTransfer[])[] = [];
  for await (const page of inPages(rows())) pages.push(page);
  return pages;
}

it('a page has rows of one partition, in their order, and at most 300', async () => {
  const pages = await pagesOf(Array.from({ length: 1000 }, (_, n) => n % 3));
  expect(pages.map(page => page.length).toSorted((a, b) => a - b)).toEqual([33, 33, 34, 300, 300, 300]);
  for (const page of pages) {
    expect(new Set(page.map(({ partition }) => partition)).size).toBe(1);
    const numbers = page.map(({ transfer }) => Number(transfer.slice(1)));
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  }
  expect(new Set(pages.flat().map(({ transfer }) => transfer)).size).toBe(1000);
});

it('rows do not pile up if there are many partitions: the fullest page goes first', async () => {
  const pages = await pagesOf(Array.from({ length: 60_000 }, (_, n) => (n % 5 === 0 ? 0 : n % 1000)));
  expect(pages.flat()).toHaveLength(60_000);
  expect(new Set(pages.flat().map(({ transfer }) => transfer)).size).toBe(60_000);
  let read = 0;
  let given = 0;
  for (const page of pages) {
    read = Math.max(read, ...page.map(({ transfer }) => Number(transfer.slice(1)) + 1));
    given += page.length;
    expect(read - given).toBeLessThanOrEqual(20_000);
  }
});

it('no rows make no page', async () => {
  expect(await pagesOf([])).toEqual([]);
});
