/** Twenty-seven ways to break the protocol, each a flag of the model: the checker must catch every one of them. */

export const BUGS = {
  ackBeforeCommit: 'acknowledges a batch before MySQL has committed it',
  noWatermark: 'applies every batch that it holds, without comparing it with the watermark',
  lostWakeUp: 'a lease that never ends, and no sweep',
  noLastReply: 'a call that is sent again is applied again',
  noOrder: 'a call that arrives behind a later one of its caller is applied',
  clearBeforeClaim: 'deletes what is pending, then puts it in flight',
  sweepPendingOnly: 'the sweep looks at what is pending, not at the batch in flight',
  barrierElsewhere: 'waits for the replica on a connection that did not claim',
  coldReadNumbers: 'a cold read compares sequence numbers, not tokens',
  lateArithmetic: 'corrects the live value of a late duplicate instead of deleting it',
  quarantineAfterCommit: 'writes to quarantine after the commit, in a statement of its own',
  noIncarnation: 'a receipt does not ask whether Redis is the one that accepted its update',
  wholeSegment: 'a cold read counts all entries of a segment, also those that MySQL has',
  oldToken: 'a claim that arrives once more names another batch with the token of the first',
  cutPages: 'a claim goes on behind what it asked for, not behind what a page that ended early had',
  pagesUnmarked: 'a claim goes on with its next page, whatever has happened to the partition since the last',
  leftOutUnseen: 'an acknowledgement does not say that it left an entry out, whose first is in quarantine',
  noTake: 'operators change what is in quarantine without taking it first',
  doubtIgnored: 'a cold read adds entries to MySQL that it may have, as Redis forgot what it had claimed',
  liveKept: 'Redis is found behind the watermark and keeps its live values, which lack what MySQL has',
  oldEpoch: 'a recovery keeps the epoch, and with it the live values from before the restore',
  recoveryUndeclared: 'a recovery declares nothing',
  discardUndeclared: 'a recovery discards whatever is old by then, however much of it was declared',
  discardedAsWritten: 'what a recovery discarded counts as written',
  recoveryBlind: 'recover.lua does not compare sequence and token with what its caller saw',
  flightKept: 'a recovery discards what is pending, and not the batch in flight',
  watermarkAhead:
    'a recovery accepts the database without counting the batch in flight, which is then taken for written',
} as const;

/** Those that only a recovery shows. */
export const RECOVERY_BUGS: ReadonlySet<Bug> = new Set<Bug>([
  'oldEpoch',
  'recoveryUndeclared',
  'discardUndeclared',
  'discardedAsWritten',
  'recoveryBlind',
  'flightKept',
  'watermarkAhead',
]);

export type Bug = keyof typeof BUGS;
export type Bugs = Readonly<Partial<Record<Bug, boolean>>>;
