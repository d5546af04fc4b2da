/** Ways to break holds, each a flag of the model; the checker must catch every one of them. */

export const HOLD_BUGS = {
  ownIds: 'each end of a hold has an id of its own',
  heldKey: 'held points have a live key of their own, which ends apart from the balance',
  balanceOnly: 'the floor is compared with the balance, without what is held',
  heldRest: 'a post releases what it takes, and the rest stays held',
  heldPending: 'a cold read takes what is held from pending entries, not from those in flight',
  loadsDoubt: 'a cold read does not wait for entries in doubt',
  rowAlone: 'the record of a hold is loaded from its row alone',
  newUnseen: 'a new hold is not looked up in MySQL',
  voidPosted: 'a void of a posted hold is a duplicate',
  expiryUnwritten: 'a script that refuses an end past its time does not write the expiry',
  noFence: 'the script of an expiry does not compare the watermark',
  ownClock: "an expiry follows the worker's clock",
  recordStays: 'an expiry leaves the live record open',
  recordsSurvive: 'a new epoch ends the live value of the account, and leaves the records',
  endFirst: 'a flush ends holds before it begins those of the same batch',
  endsAny: 'a flush ends a hold that has ended',
  postAbove: "a flush does not compare a post with the hold's row",
  postQuarantined: 'a post that MySQL refuses goes into quarantine as a whole, and its row stays open',
  endId: 'the id of an end stays when it is left out',
  lateFails: 'the receipt of what is left out fails, also if MySQL has the same',
  idsKept: 'an acknowledgement keeps the ids of what counts',
  behindAlone: 'a new epoch puts pending entries in doubt only if Redis was behind',
  doubtEnds: 'the doubt ends with the commit, before the acknowledgement',
  recordSure: 'the record of a hold is loaded although entries of its account are in doubt',
  skipForgets: 'a batch that was written before is acknowledged without what it left out',
} as const;

export type HoldBug = keyof typeof HOLD_BUGS;
