/** Ways to break transfers, each a flag of the model; the checker must catch every one of them. */

export const TRANSFER_BUGS = {
  keptRow: 'a credit is written, and its row stays',
  noRow: 'a credit is written without its row, if the ledger does not have its id',
  anyAccount: 'a credit is written with a row that names another account',
  rowOutside: 'the row of a debit that MySQL refuses stays, since it is written outside the savepoint',
  deleteOutside: 'the row of a credit that MySQL refuses is gone, since it is deleted outside the savepoint',
  rowLate: 'a late entry gets a row',
  rowAfterCommit: 'the row is written after the commit of the debit',
  creditBeforeCommit: 'the credit is sent before the commit of the debit',
  watermarkAfterCommit: "the destination's watermark is read after the commit of the debit",
  noFence: 'the script of the credit does not compare the watermark',
  oldEpoch: 'the script of the credit accepts an older epoch',
  rowsThenWatermark: 'the sweep reads the watermark in another statement, after the rows',
  neverLocked: 'the sweep never reads with the lock of the watermark',
  noSweep: 'only the flush of the debit sends the credit',
  driveAside: 'the sweep also drives rows that are aside',
  idsKept: 'an acknowledgement keeps the ids of credits',
  idsTrimmed: 'a trim forgets the id of a pending credit, since one of the same id was acknowledged before',
  liveKept: 'the live value stays when a credit is left out',
  leftOutTogether: 'the flush of a group leaves credits out, and no live value is deleted',
  asideLive: 'the live value stays when MySQL refuses a credit',
  creditQuarantined: 'a credit that MySQL refuses goes into quarantine, and its row stays open',
  operatorUnlocked: 'an operator changes the row without the lock of the watermark',
  operatorOpen: 'an operator also changes rows that are open',
  bareReplay: 'the replay of a debit writes no row',
} as const;

export type TransferBug = keyof typeof TRANSFER_BUGS;
