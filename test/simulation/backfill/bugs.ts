/** Ways to break a backfill, each a flag of the model; the checker must catch every one of them. */

export const BACKFILL_BUGS = {
  checkpointEarly: 'the checkpoint moves once Redis has accepted the page',
  lossIgnored: 'the checkpoint moves although Redis lost something of the page meanwhile',
  unrecorded: 'a page is sent before it is recorded',
  noIds: 'openings have no ids',
  callersIds: "an opening has the run's name as its id, which callers may use too",
  amountsAnew: 'a resumed page reads its amounts from the table anew',
  resentBlind: 'counters are sent again, whatever Redis has forgotten',
  retriedBlind: 'counters whose call got no answer are sent again without asking what Redis has forgotten',
  windowIgnored: 'nobody asks whether the ids of the page have expired',
  limitIgnored: 'nobody asks whether younger ids have pushed those of the page out',
  epochIgnored: 'nobody asks whether the epoch is still that of the page',
  epochOnly: 'nobody asks whether Redis is behind the watermark, under the same epoch',
  watermarkUnlocked: 'Redis is compared with a watermark that a worker is about to move',
  momentLate: 'the moment since which ids must be remembered is that of the question',
  receiptsTrusted: 'a page with receipts counts as written, and nobody asks Redis',
  oneReceipt: 'of the receipts of a partition the last one is recorded, whichever life of Redis it is from',
  receiptsKept: 'the receipts of a page stay recorded with the next page',
  endedAnew: 'a run whose last answer is lost begins again, since its record has no place any more',
  ownerUnchecked: 'a process that has lost the run changes its record',
  openingNewest: 'an opening of a `last` value is a put like any other',
  markedLate: 'a page is recorded first, and its rows are marked afterwards',
  markedEarly:
    'rows count as moved once Redis has accepted them, and readers look there before they are sent',
} as const;

export type BackfillBug = keyof typeof BACKFILL_BUGS;
