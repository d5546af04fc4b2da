/** Ways to break the protocol, each a flag of the model; the checker must catch every one of them. */

export const BUGS = {
  ackBeforeCommit: 'a worker acknowledges a batch before MySQL has committed it',
  noWatermark: 'a worker applies every batch without comparing it with the watermark',
  lostWakeUp: 'the lease never ends, and no sweep runs',
  noLastReply: 'a call that is sent again is applied again',
  noOrder: 'a call that arrives after a later one of its caller is applied',
  clearBeforeClaim: 'a claim deletes pending updates, then puts them in flight',
  sweepPendingOnly: 'the sweep looks at pending updates, not at the batch in flight',
  barrierElsewhere: 'the claim barrier waits on a connection that did not claim',
  coldReadNumbers: 'a cold read compares sequence numbers, not tokens',
  lateArithmetic: 'an acknowledgement corrects the live value of a late duplicate instead of deleting it',
  quarantineAfterCommit: 'a worker writes to quarantine after the commit, in a separate transaction',
  noIncarnation: 'a receipt does not check that Redis is the one that accepted its update',
  wholeSegment: 'a cold read counts all entries of a segment, also those that MySQL has',
  oldToken: 'a claim that arrives twice gives a second batch the token of the first',
  cutPages: 'a claim goes on after what it asked for, not after what a short page had',
  pagesUnmarked: 'a claim goes on with its next page, whatever happened to the partition meanwhile',
  leftOutUnseen: 'an acknowledgement does not report that it left out an entry whose id is in quarantine',
  noTake: 'operators change quarantined updates without taking them first',
  doubtIgnored: 'a cold read adds entries that MySQL may have already, since Redis forgot their claim',
  liveKept: 'a Redis that is behind the watermark keeps its live values, which lack updates of MySQL',
  epochOnly: 'a script sets a new epoch and leaves the live values of the old one',
  ackYoung: 'an acknowledgement deletes a wrong live value only from the young ones',
  readCopies: 'a read copies an old live value to the young ones and leaves the old copy',
  youngEnds: 'a rotation ends the young live values instead of the old ones',
  walkOnce: 'the walk over live values does not start again after a rotation',
  youngIds: 'a trim forgets all ids of counters once the oldest have expired',
  idsLeftBehind: 'a new bucket of ids of counters does not get those that it must have',
  oldEpoch: 'a recovery keeps the epoch, and so the live values from before the restore',
  recoveryUndeclared: 'a recovery declares nothing',
  discardUndeclared: 'a recovery discards more old updates than were declared',
  discardedAsWritten: 'updates that a recovery discarded count as written',
  recoveryBlind: 'recover.lua does not compare sequence and token with those that its caller saw',
  flightKept: 'a recovery discards pending updates, but not those in flight',
  watermarkAhead:
    'a recovery accepts the database without counting the batch in flight, which is then taken for written',
} as const;

/** Bugs that only a recovery shows. */
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
