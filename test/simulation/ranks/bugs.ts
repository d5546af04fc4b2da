/** Ways to break boards of ranks, each a flag of the model; the checker must catch every one of them. */

export const RANK_BUGS = {
  liveToBoard: 'the script writes the live value to the board, and nothing if the value is cold',
  boardApart: 'another script than that of the value adds to the board',
  noMark: 'the walk begins before what was pending is in MySQL',
  markByUpdates: 'the walk begins once as many updates are written as there were at the mark',
  markUnacked: 'the walk begins once all that was pending at the mark is claimed',
  waitForAll: 'the walk begins once nothing is pending',
  tableFirst: 'the table is walked before the quarantine',
  noQuarantine: 'the quarantine is not walked',
  unnoted: 'an update of a key that is not on the next board does not note it',
  mappedFromZero: 'in a mapped table, a key that is not on the board counts from 0',
  noWatermark: 'a page is written without comparing the watermark',
  noEpoch: 'a build goes on although its epoch has ended',
  noCursor: 'a page is written without comparing the cursor',
  earlierBuild: 'a page is written whose keys were read for an earlier build',
  ownCursor: 'the builder remembers the cursor, Redis does not',
  goneNote: 'a key is loaded although its note is gone',
  keptScore: 'a noted key that is on the board keeps its score',
  swapForgets: 'the swap forgets the keys that are still noted',
  swapWaits: 'the swap waits until nothing is noted',
  notedExact: 'a board with noted keys is exact',
  oldBoard: 'the board of an epoch that has ended is exact',
  endsWithLive: 'a live value that ends takes its score along',
  ackUnnoted: 'an acknowledgement deletes a live value and does not note its key',
  repairUnnoted: 'a repair deletes a live value and does not note its key',
} as const;

export type RankBug = keyof typeof RANK_BUGS;
export type RankBugs = Readonly<Partial<Record<RankBug, boolean>>>;
