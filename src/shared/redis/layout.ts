/**
 * Everything that Sluice keeps in Redis: keys, fields, and the forms of values with several parts.
 *
 * TypeScript takes the names from here. Scripts cannot, so a unit test compares their names with these, and
 * an integration test compares the keys of a server. docs/redis-layout.md is generated from this file.
 */

/**
 * Version of this layout. A process refuses any other version. Before 3, batches were not ranges of segments.
 * Before 4, states did not name their deployment, and the edit of an entry held parsed metadata. Before 5, live
 * values were keys of their own. Before 6, ids of counters were kept as whole names. Before 7, there were no
 * transfers, and no boards of ranks: an older worker would write a debit without its destination, and an older
 * script would change a value and not its score. Before 8, there were no values that are kept instead of summed: an
 * older worker would take their kinds for names of counters. Before 9, there were no holds: an older script would take
 * `balance/held` for no number.
 */
export const REDIS_FORMAT = 9;

/** A script's name, or a TypeScript file that writes without a script. */
type Writer = Script | `${string}.ts`;
type Script =
  | 'ack'
  | 'adopt'
  | 'apply'
  | 'build'
  | 'claim'
  | 'credit'
  | 'load'
  | 'read'
  | 'recover'
  | 'rewind'
  | 'rotate'
  | 'trim';

/** Forms of values with several parts. Times are ms of Redis' clock. */
export const forms = {
  item: {
    text: '<name>:<key>',
    what: 'A counter or value and its key, or a program and its account; names hold no colon',
  },
  pending: {
    text: '<name>:<key>, or <kind><name>:<key>',
    what: 'An item: of a counter without its kind, of a value after its kind',
  },
  amended: {
    text: '!<name>:<key>, or !<kind><name>:<key>',
    what: 'A counter or value with an edited or dropped quarantined update',
  },
  owner: {
    text: '<deployment>/<format>',
    what: 'A deployment and the version of this layout',
  },
  live: {
    text: '<kind><name>:<key>',
    what: "An item after its kind: `c` for a counter, `p` for an account, `>`, `<` or `=` for a value of which the greatest, the least or the last put is kept; the field without a name is no item, and only keeps the hash a table; `h`, the bytes of an account's item, `:`, the item and an id for a hold",
  },
  sum: {
    text: '<sum> <updates> <number>',
    what: 'The sum of the pending updates of a key, of an account as `balance/held` if they hold points, or the put of a value that is kept of them, and their count; then the number of the counter, which it got when it became pending, or the number of the newest entry',
  },
  kept: {
    text: '<number>, or <number>@<version>',
    what: 'A live value; that of `=` has the version of its put; `~` is a key without a value. That of an account that holds points is `<balance>/<held>`, that of a hold its record',
  },
  hold: {
    text: '<letter><amount>/<more>',
    what: 'The record of a hold: `o` open, and when it expires, ms, 0 for never; `p` posted, and how much of it; `v` voided and `e` expired, and 0; `n` by itself if there is no such hold',
  },
  ordered: {
    text: '<time> <pending>',
    what: 'Acceptance time of the first pending update of a counter or value',
  },
  entry: {
    text: '<time> <previous> <amount> <balance> <bytes of item>:<item><payload>',
    what: "An entry: `previous` is the number of the account's entry before it, 0 if none is known; the amount of one that begins or ends a hold is `<balance>/<held>`, then `h`, `p`, `v` or `e`, and of a new hold when it expires; `payload` is the entry as JSON, or the amendment",
  },
  payload: {
    text: '[<program>,<account>,<id>,<amount>,<reason>,<metadata>]',
    what: 'An entry that is not of a transfer, as JSON',
  },
  transferPayload: {
    text: '[<program>,<account>,<id>,<amount>,<reason>,<other account>,<metadata>]',
    what: "An entry of a transfer: the debit with the destination, or the credit with the source. The id of a credit is NUL and the transfer's name",
  },
  idName: {
    text: '<kind><bytes of item>:<item><id>',
    what: 'An id, which is unique for its key only; the kind is `p`, or `a` for an amendment',
  },
  answer: {
    text: '<content> <value>',
    what: "The content of the update with this id: a counter's amount, or the start of the payload's SHA-1, `-` for the credit of a transfer, the record of a hold; then the answered live value, `-` if there was none",
  },
  bucket: {
    text: '<digest><slice> <answer>',
    what: "Repeated, the oldest first: a semicolon and 14 characters of the SHA-256 of a counter and an id, in base 64; the number of the id's slice; the answer",
  },
  head: {
    text: '[<first>,<last>,<kept>,<stored>,<open>,<expires>,<buckets>,<cursor>]',
    what: 'The first remembered slice and the open one; how many ids are remembered, stand in buckets, and are in the open slice; from when that may be forgotten; the number of buckets; the next bucket of a walk of `trim`, 0 if there is none',
  },
  slice: {
    text: '<time> <ids>',
    what: 'Time from which a slice, ids accepted one after another, may be forgotten; and their number',
  },
  idExpiry: {
    text: '<time> <number>',
    what: 'Time from which the ids of entries below a number may be forgotten',
  },
  lastReply: {
    text: '<number of the call, 16 digits><reply>',
    what: 'The last reply of `apply.lua` to a caller, which is also the reply to a resent call',
  },
  token: {
    text: '<random>.<time>',
    what: 'A random part of the caller and the time in microseconds, hexadecimal; after a recovery only a random part',
  },
  incarnation: {
    text: '<caller>.<call>.<time>',
    what: 'The first call that reached the process, and its time',
  },
  ended: {
    text: '<incarnation> <kept> <lost>',
    what: 'Repeated for up to eight incarnations, the newest first: how many updates the next one still had, and how many are known to be lost; the epoch of a new state stands for everything before it',
  },
  discarded: { text: '<epoch> <updates>', what: 'Valid only while the state has this epoch' },
  board: {
    text: '<kind><name>',
    what: 'A ranked counter, program or value after its kind',
  },
  boards: {
    text: '<board> <phase> <mapped> <kept> <epoch>',
    what: 'Repeated for each board. The phase is `wait`, `walk`, `close` or `ready`, and belongs to that epoch only; `mapped` is 1 if the values are in a mapped table, `kept` is 1 if `ranks` answers, whatever its age',
  },
  build: {
    text: '<pushed> <entryNext> <left> <members> <time> <name> <cursor>',
    what: 'A build: its mark, two numbers of the state at its begin; how many noted keys it still tries before the swap; the members written; when it went on last, ms; its name, the time of its begin in microseconds, hexadecimal; the cursor, `q` in quarantine or `t` in the table, and the key after which it goes on',
  },
  trace: {
    text: '<updates> <trace> <span> <flags>',
    what: 'The value of `updates` right after a sampled call',
  },
} as const satisfies Record<string, { text: string; what: string }>;

type Form = keyof typeof forms;

interface KeyLayout {
  readonly type: 'hash' | 'list' | 'set' | 'string' | 'zset';
  readonly what: string;
  /** Form of a hash's fields. */
  readonly field?: Form | 'number' | 'name' | 'key';
  /** Form of a field's value, of an element, or of the string itself. */
  readonly value: Form | 'number' | 'text' | 'key';
  readonly writers: readonly Writer[];
  readonly lifetime: string;
}

/** Keys of a partition, after the prefix `{namespace:partition}:`. */
export const partitionKeys = {
  state: {
    type: 'hash',
    what: 'The state of the partition: its fields are listed below',
    field: 'name',
    value: 'text',
    writers: [
      'adopt',
      'apply',
      'credit',
      'claim',
      'ack',
      'rewind',
      'recover',
      'rotate',
      'build',
      'apply-call.ts',
    ],
    lifetime: 'for ever',
  },
  counters: {
    type: 'hash',
    what: 'Sums of counters, and values, that became pending after the segment was cut',
    field: 'pending',
    value: 'sum',
    writers: ['apply', 'claim', 'recover'],
    lifetime: 'until a claim renames it to `segment:counters`',
  },
  order: {
    type: 'list',
    what: 'The same in the order in which they became pending',
    value: 'ordered',
    writers: ['apply', 'claim', 'recover'],
    lifetime: 'until a claim renames it to `segment:order`',
  },
  accounts: {
    type: 'hash',
    what: 'Sums of entries and amendments after the segment was cut; those of amended counters are under `amended`',
    field: 'item',
    value: 'sum',
    writers: ['apply', 'credit', 'claim'],
    lifetime: 'until a claim renames it to `segment:accounts`',
  },
  'segment:counters': {
    type: 'hash',
    what: 'Sums and values of the segment, from which batches are claimed',
    field: 'pending',
    value: 'sum',
    writers: ['claim', 'ack', 'recover'],
    lifetime: 'until all of the segment is acknowledged; acknowledged batches are deleted page by page',
  },
  'segment:order': {
    type: 'list',
    what: 'The counters of the segment in order; the first has the number `segmentStart`',
    value: 'ordered',
    writers: ['claim', 'ack', 'recover'],
    lifetime: 'like `segment:counters`',
  },
  'segment:accounts': {
    type: 'hash',
    what: 'Sums of the entries and amendments of the segment',
    field: 'item',
    value: 'sum',
    writers: ['claim', 'ack'],
    lifetime: 'until all of the segment is acknowledged',
  },
  entries: {
    type: 'hash',
    what: 'Entries and amendments by their numbers, pending and in flight',
    field: 'number',
    value: 'entry',
    writers: ['apply', 'credit', 'ack'],
    lifetime: 'until they are acknowledged',
  },
  ids: {
    type: 'hash',
    what: 'The remembered ids of entries and amendments, and the answers; those of credits until they are acknowledged',
    field: 'idName',
    value: 'answer',
    writers: ['apply', 'credit', 'ack', 'trim', 'recover'],
    lifetime: '`idempotencyWindowMs` from the acknowledgement on; shorter if `idempotencyLimit` is reached',
  },
  counterIds: {
    type: 'hash',
    what: 'The remembered ids of counters and the answers, by buckets that their digests choose; the field without a name is their head',
    field: 'number',
    value: 'bucket',
    writers: ['apply', 'trim'],
    lifetime: '`idempotencyWindowMs`, and up to a 64th longer; shorter if `idempotencyLimit` is reached',
  },
  counterIdSlices: {
    type: 'list',
    what: 'The closed slices of ids of counters that are remembered, the oldest first',
    value: 'slice',
    writers: ['apply', 'trim'],
    lifetime: 'as `counterIds`',
  },
  entryIds: {
    type: 'list',
    what: 'Ids of entries and amendments, the oldest first; the last belongs to number `entryNext` - 1. That of a credit is empty here',
    value: 'idName',
    writers: ['apply', 'credit', 'trim', 'recover'],
    lifetime: 'as `ids`',
  },
  idMarks: {
    type: 'list',
    what: 'One element for each acknowledged batch with entries, the oldest first',
    value: 'idExpiry',
    writers: ['ack', 'trim', 'recover'],
    lifetime: 'until its time',
  },
  'last:<caller>': {
    type: 'string',
    what: 'The last answer to a caller of `apply.lua`',
    value: 'lastReply',
    writers: ['apply'],
    lifetime: 'until ten seconds after the deadline of its call',
  },
  'live:young': {
    type: 'hash',
    what: 'Live values and balances of accounts of the current epoch that were used since the last rotation',
    field: 'live',
    value: 'kept',
    writers: ['apply', 'credit', 'read', 'load', 'ack', 'rotate', 'adopt', 'rewind', 'recover'],
    lifetime: 'until a rotation renames it to `live:old`, or a new epoch',
  },
  'live:old': {
    type: 'hash',
    what: 'Live values that were not; a value is in one of the two hashes',
    field: 'live',
    value: 'kept',
    writers: ['apply', 'credit', 'read', 'load', 'ack', 'rotate', 'adopt', 'rewind', 'recover'],
    lifetime: 'until the next rotation, `liveTtlMs` after the last one, or a new epoch',
  },
  'ranks:<board>': {
    type: 'zset',
    what: 'The board: every key of the partition with a value, and the value as its score',
    field: 'key',
    value: 'number',
    writers: ['apply', 'credit', 'build', 'load'],
    lifetime: 'until the next board takes its place, or the board is dropped',
  },
  'ranksNext:<board>': {
    type: 'zset',
    what: 'The board that is being built',
    field: 'key',
    value: 'number',
    writers: ['apply', 'credit', 'build'],
    lifetime: 'until it takes the place of `ranks:<board>`',
  },
  'ranksNoted:<board>': {
    type: 'set',
    what: 'Keys whose scores may be wrong or missing: a worker reads them from the database',
    value: 'key',
    writers: ['apply', 'credit', 'ack', 'load', 'build'],
    lifetime: 'until each key is read',
  },
  ranksBuild: {
    type: 'hash',
    what: 'The builds under way',
    field: 'board',
    value: 'build',
    writers: ['build'],
    lifetime: 'until the board is ready or dropped',
  },
  traces: {
    type: 'list',
    what: 'Spans of sampled calls, to which the next flushes are linked; not part of the protocol',
    value: 'trace',
    writers: ['call-traces.ts', 'flush-span.ts'],
    lifetime: 'a minute, or until the flush; 128 at most',
  },
} as const satisfies Record<string, KeyLayout>;

/** Keys with a fixed name. */
export type PartitionKey = Exclude<keyof typeof partitionKeys, `${string}<${string}`>;

/** Keys of a board. */
export type BoardKey = Extract<keyof typeof partitionKeys, `${string}<board>`>;

interface FieldLayout {
  readonly type: 'number' | 'text';
  /** Form of a text. */
  readonly form?: Form;
  readonly what: string;
  readonly writers: readonly Writer[];
  readonly lifetime: string;
}

const ALWAYS = 'for ever';
/** An absent field reads as 0 or ''. */
const FIRST = 'absent until first needed';

/** Fields of a partition's state. */
export const stateFields = {
  deployment: {
    type: 'text',
    form: 'owner',
    what: 'The deployment that the partition belongs to, with the format: scripts of another one refuse the state',
    writers: ['adopt'],
    lifetime: ALWAYS,
  },
  epoch: {
    type: 'text',
    what: 'Name of the time in which live values are valid: a script that sets another one ends all of them',
    writers: ['adopt', 'rewind', 'recover'],
    lifetime: ALWAYS,
  },
  sequence: {
    type: 'number',
    what: 'Number of the batch claimed last',
    writers: ['adopt', 'claim', 'rewind', 'recover'],
    lifetime: ALWAYS,
  },
  token: {
    type: 'text',
    form: 'token',
    what: 'Token of the batch in flight; empty if there is none',
    writers: ['adopt', 'claim', 'ack', 'recover'],
    lifetime: 'from the claim to the acknowledgement',
  },
  updates: {
    type: 'number',
    what: 'Updates accepted in total; a new state starts from the number in the database',
    writers: ['adopt', 'apply', 'credit'],
    lifetime: ALWAYS,
  },
  claimed: {
    type: 'number',
    what: 'How many of `updates` were claimed, or discarded by a recovery',
    writers: ['adopt', 'claim', 'recover'],
    lifetime: ALWAYS,
  },
  dropped: {
    type: 'number',
    what: 'How many of `claimed` were discarded by a recovery',
    writers: ['recover'],
    lifetime: FIRST,
  },
  pushed: {
    type: 'number',
    what: 'How often a counter became pending, in total; also the number of the next one',
    writers: ['adopt', 'apply'],
    lifetime: ALWAYS,
  },
  popped: {
    type: 'number',
    what: 'Number of the first counter that is not claimed',
    writers: ['adopt', 'claim', 'recover'],
    lifetime: ALWAYS,
  },
  poppedAcked: {
    type: 'number',
    what: 'Number of the first counter that is not acknowledged',
    writers: ['adopt', 'ack'],
    lifetime: ALWAYS,
  },
  version: {
    type: 'number',
    what: 'Version of the last put of a value of which the last is kept: microseconds of this clock, or higher',
    writers: ['apply'],
    lifetime: FIRST,
  },
  entryNext: {
    type: 'number',
    what: 'Number of the next entry',
    writers: ['adopt', 'apply', 'credit'],
    lifetime: ALWAYS,
  },
  entryClaimed: {
    type: 'number',
    what: 'Number of the first entry that is not claimed',
    writers: ['adopt', 'claim'],
    lifetime: ALWAYS,
  },
  entryAcked: {
    type: 'number',
    what: 'Number of the first entry that is not acknowledged',
    writers: ['adopt', 'ack'],
    lifetime: ALWAYS,
  },
  doubtful: {
    type: 'number',
    what: 'Entries below this number may be in MySQL already, since Redis forgot that it had claimed them',
    writers: ['adopt', 'rewind', 'recover'],
    lifetime: FIRST,
  },
  quarantined: {
    type: 'number',
    what: 'Counters and entries of acknowledged batches that are in quarantine, in total',
    writers: ['adopt', 'ack'],
    lifetime: ALWAYS,
  },
  segment: {
    type: 'text',
    form: 'token',
    what: 'Name of the segment',
    writers: ['adopt', 'claim'],
    lifetime: 'until the next segment; empty before the first',
  },
  segmentStart: {
    type: 'number',
    what: 'Number of the first counter that `segment:order` still has',
    writers: ['adopt', 'claim'],
    lifetime: 'until the next segment',
  },
  segmentEnd: {
    type: 'number',
    what: 'Number of the first counter after the segment',
    writers: ['adopt', 'claim'],
    lifetime: 'until the next segment',
  },
  entrySegmentStart: {
    type: 'number',
    what: 'Number of the first entry of the segment',
    writers: ['adopt', 'claim'],
    lifetime: 'until the next segment',
  },
  entrySegmentEnd: {
    type: 'number',
    what: 'Number of the first entry after the segment',
    writers: ['adopt', 'claim'],
    lifetime: 'until the next segment',
  },
  flightFrom: {
    type: 'number',
    what: 'Number of the first counter of the batch in flight',
    writers: ['adopt', 'claim', 'recover'],
    lifetime: 'until the next claim',
  },
  flightTo: {
    type: 'number',
    what: 'Number of the first counter after the batch in flight',
    writers: ['adopt', 'claim'],
    lifetime: 'until the next claim',
  },
  flightUpdates: {
    type: 'number',
    what: 'Updates in the batch in flight',
    writers: ['adopt', 'claim', 'ack', 'recover'],
    lifetime: 'from the claim to the acknowledgement; 0 otherwise',
  },
  flightOldest: {
    type: 'number',
    what: 'Acceptance time of the oldest update of the batch in flight, ms',
    writers: ['adopt', 'claim', 'ack'],
    lifetime: 'from the claim to the acknowledgement; 0 otherwise',
  },
  armedUntil: {
    type: 'number',
    what: 'A producer sends a wake-up before this time, ms; 0 if none does',
    writers: ['apply', 'credit', 'claim'],
    lifetime: 'from an update after a claim to the next claim, or until `leaseMs` have passed',
  },
  pendingSince: {
    type: 'number',
    what: 'Acceptance time of the oldest update that is not claimed; 0 if there is none',
    writers: ['apply', 'credit', 'claim'],
    lifetime: FIRST,
  },
  run: {
    type: 'text',
    what: '`run_id` of the Redis process that the last call of `apply.lua` or `credit.lua` reached',
    writers: ['apply', 'credit'],
    lifetime: FIRST,
  },
  incarnation: {
    type: 'text',
    form: 'incarnation',
    what: 'Name of that process in this partition',
    writers: ['apply', 'credit'],
    lifetime: FIRST,
  },
  ended: {
    type: 'text',
    form: 'ended',
    what: 'The previous incarnations',
    writers: ['adopt', 'apply', 'credit'],
    lifetime: ALWAYS,
  },
  discarded: {
    type: 'text',
    form: 'discarded',
    what: 'Updates that the current recovery has discarded so far',
    writers: ['recover'],
    lifetime: 'until that recovery ends',
  },
  boards: {
    type: 'text',
    form: 'boards',
    what: 'The boards of the partition',
    writers: ['build'],
    lifetime: FIRST,
  },
  rotated: {
    type: 'number',
    what: 'When `live:young` became `live:old` last, ms; before the first rotation, when it is counted from',
    writers: ['rotate'],
    lifetime: FIRST,
  },
  claims: {
    type: 'number',
    what: 'Calls of `claim.lua`: each call changes this field, so that a barrier can wait for it',
    writers: ['claim'],
    lifetime: FIRST,
  },
  barriers: {
    type: 'number',
    what: 'Durable calls: each call changes this field, so that a barrier can wait for it',
    writers: ['apply-call.ts'],
    lifetime: FIRST,
  },
} as const satisfies Record<string, FieldLayout>;

export type StateField = keyof typeof stateFields;
/** A state, with numbers as numbers. */
export type State = {
  [Field in StateField]: (typeof stateFields)[Field]['type'] extends 'number' ? number : string;
};

/** Key of a namespace, after `{namespace}:`. The first process writes it at its start; none changes it. */
export const FORMAT_KEY = 'format';
/** Fields of that hash. */
export const formatFields = {
  deployment: 'The deployment that the namespace belongs to',
  partitions: 'Number of partitions',
  format: 'Version of this layout: `REDIS_FORMAT`',
} as const;
export type FormatField = keyof typeof formatFields;

/** Key of a namespace: a hash of the processes that live, each with the time when it was heard of. */
export const PROCESSES_KEY = 'processes';

/** Name of BullMQ's only queue. Its keys are `{namespace}:flush:*`. */
export const QUEUE_NAME = 'flush';
