/** Ways to break the flush of a group, each a flag of the model; the checker must catch every one of them. */

export const GROUP_BUGS = {
  noAgain: 'a partition that is busy in this process is left out, and nobody looks again',
  noWake: 'a batch that goes alone outlasts its job, and its end wakes nobody',
  noSecond: 'a partition whose batch was in flight already is not claimed once more',
  onlyWoken: 'the job claims only the partition that it names',
  unordered: 'watermarks are locked in the order of the claims, and locked ones are waited for',
  oneDecision: 'the first batch decides for all',
  oneCheck: 'only the first token is asked for once more before the commit',
  keepRefused: 'a refused batch falls out of the transaction, and its rows stay',
  ackAll: 'the batches that fall out are acknowledged with the others',
  failAll: 'the trouble of one partition fails the job of its group',
  noOwnJob: 'a partition in trouble is left out by its group and gets no job of its own',
} as const;

export type GroupBug = keyof typeof GROUP_BUGS;
