/**
 * Everything that Sluice keeps in Redis: keys, fields, and the form of values that are text with several parts.
 *
 * TypeScript takes the names from here. Scripts cannot, so a unit test compares theirs with these, and an integration test
 * compares what a server sees. docs/redis-layout.md is made from this file.
 */

/**
 * Version of this layout, which only a process that knows it may touch: below 3, batches were not ranges of segments;
 * below 4, states did not say whose they are, and the edit of an entry held its metadata parsed.
 */
export const REDIS_FORMAT = 4;

/** A script by its file's name, or the TypeScript file that writes by itself. */
type Writer = Script | `${string}.ts`;
type Script = 'ack' | 'adopt' | 'apply' | 'claim' | 'load' | 'read' | 'recover' | 'rewind' | 'trim';

/** Values that are text with several parts. Times are ms of Redis' clock. */
export const forms = {
  item: {
    text: '<name>:<key>',
    what: 'A counter and its key, or a program and its account; names hold no colon',
  },
  amended: {
    text: '!<name>:<key>',
    what: 'A counter of which a quarantined update was edited or dropped',
  },
  sum: {
    text: '<sum> <updates> <number>',
    what: 'What pending updates of a key add up to, and how many they are; then the number that the counter got when it became pending, or the number of the newest entry',
  },
  ordered: { text: '<time> <item>', what: 'When the first pending update of a counter was accepted' },
  entry: {
    text: '<time> <previous> <amount> <balance> <bytes of item>:<item><payload>',
    what: "An entry: `previous` is the number of the account's entry before it, 0 if none is known; `payload` is the entry as JSON, or the amendment",
  },
  idName: {
    text: '<kind><bytes of item>:<item><id>',
    what: 'An id, which is unique for its key only; the kind is `c`, `p`, or `a` of an amendment',
  },
  answer: {
    text: '<content> <value>',
    what: "What an id stands for: a counter's amount, or the start of the payload's SHA-1; then the live value that was answered, `-` if none was live",
  },
  expiring: { text: '<time> <idName>', what: "When a counter's id may be forgotten" },
  idExpiry: {
    text: '<time> <number>',
    what: 'Time at which the ids of entries below a number may be forgotten',
  },
  lastReply: {
    text: '<number of the call, 16 digits><reply>',
    what: 'The last reply of `apply.lua` to a caller, which a call that is sent again gets',
  },
  token: {
    text: '<random>.<time>',
    what: 'Random part of the caller, microseconds in hexadecimal; a recovery gives a random part alone',
  },
  incarnation: { text: '<caller>.<call>.<time>', what: 'The call that met the process first, and when' },
  ended: {
    text: '<incarnation> <kept> <lost>',
    what: 'Repeated for up to eight, the newest first: how many updates were still there when the next one took over, and how many are known to be lost; the epoch of a new state stands for what was before it',
  },
  discarded: { text: '<epoch> <updates>', what: 'Counts only as long as the epoch is that' },
  trace: {
    text: '<updates> <trace> <span> <flags>',
    what: 'The value of `updates` right after a sampled call',
  },
} as const satisfies Record<string, { text: string; what: string }>;

type Form = keyof typeof forms;

interface KeyLayout {
  readonly type: 'hash' | 'list' | 'string';
  readonly what: string;
  /** Of a hash. */
  readonly field?: Form | 'number' | 'name';
  /** Of a field, an element, or the string itself. */
  readonly value: Form | 'number' | 'text';
  readonly writers: readonly Writer[];
  readonly lifetime: string;
}

/** Keys of a partition, behind `{namespace:partition}:`. */
export const partitionKeys = {
  state: {
    type: 'hash',
    what: 'The state of the partition: its fields are listed below',
    field: 'name',
    value: 'text',
    writers: ['adopt', 'apply', 'claim', 'ack', 'rewind', 'recover', 'apply-call.ts'],
    lifetime: 'for ever',
  },
  counters: {
    type: 'hash',
    what: 'Sums of counters that became pending since the segment was cut',
    field: 'item',
    value: 'sum',
    writers: ['apply', 'claim', 'recover'],
    lifetime: 'until a claim renames it to `segment:counters`',
  },
  order: {
    type: 'list',
    what: 'The same counters, in the order in which they became pending',
    value: 'ordered',
    writers: ['apply', 'claim', 'recover'],
    lifetime: 'until a claim renames it to `segment:order`',
  },
  accounts: {
    type: 'hash',
    what: 'Sums of entries and amendments since the segment was cut; amendments of a counter stand under `amended`',
    field: 'item',
    value: 'sum',
    writers: ['apply', 'claim'],
    lifetime: 'until a claim renames it to `segment:accounts`',
  },
  'segment:counters': {
    type: 'hash',
    what: 'Sums of the segment, of which batches are claimed',
    field: 'item',
    value: 'sum',
    writers: ['claim', 'ack', 'recover'],
    lifetime: 'until all of the segment is acknowledged; batches that are, leave page by page',
  },
  'segment:order': {
    type: 'list',
    what: 'The counters of the segment in their order; the first has the number `segmentStart`',
    value: 'ordered',
    writers: ['claim', 'ack', 'recover'],
    lifetime: 'as `segment:counters`',
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
    writers: ['apply', 'ack'],
    lifetime: 'until they are acknowledged',
  },
  ids: {
    type: 'hash',
    what: 'The ids that are remembered, and what was answered',
    field: 'idName',
    value: 'answer',
    writers: ['apply', 'trim', 'recover'],
    lifetime:
      '`idempotencyWindowMs`, of an entry from its acknowledgement on; fewer if `idempotencyLimit` is reached',
  },
  counterIds: {
    type: 'list',
    what: 'Ids of counters, the oldest first',
    value: 'expiring',
    writers: ['apply', 'trim'],
    lifetime: 'as `ids`',
  },
  entryIds: {
    type: 'list',
    what: 'Ids of entries and amendments, the oldest first; the last belongs to number `entryNext` - 1',
    value: 'idName',
    writers: ['apply', 'trim', 'recover'],
    lifetime: 'as `ids`',
  },
  idMarks: {
    type: 'list',
    what: 'One element for each acknowledged batch with entries, the oldest first',
    value: 'idExpiry',
    writers: ['ack', 'trim', 'recover'],
    lifetime: 'until its time',
  },
  armed: {
    type: 'string',
    what: 'The lease of whoever gives the next wake-up: its caller',
    value: 'text',
    writers: ['apply', 'claim'],
    lifetime: 'until the next claim, at most `leaseMs`',
  },
  'last:<caller>': {
    type: 'string',
    what: 'What a caller of `apply.lua` was answered last',
    value: 'lastReply',
    writers: ['apply'],
    lifetime: 'ten seconds beyond the deadline of its call',
  },
  'c:<epoch>:<item>': {
    type: 'string',
    what: 'Live value of a counter',
    value: 'number',
    writers: ['apply', 'read', 'load', 'ack'],
    lifetime: '`liveTtlMs` after its last use',
  },
  'p:<epoch>:<item>': {
    type: 'string',
    what: 'Live balance of an account',
    value: 'number',
    writers: ['apply', 'read', 'load', 'ack'],
    lifetime: '`liveTtlMs` after its last use',
  },
  traces: {
    type: 'list',
    what: 'Spans of sampled calls that the next flushes are linked to; no part of the protocol',
    value: 'trace',
    writers: ['call-traces.ts', 'flush-span.ts'],
    lifetime: 'a minute, or until the flush; 128 at most',
  },
} as const satisfies Record<string, KeyLayout>;

/** Those that are named in full. */
export type PartitionKey = Exclude<keyof typeof partitionKeys, `${string}<${string}`>;

interface FieldLayout {
  readonly type: 'number' | 'text';
  /** Of a text. */
  readonly form?: Form;
  readonly what: string;
  readonly writers: readonly Writer[];
  readonly lifetime: string;
}

const ALWAYS = 'for ever';
/** One that is absent reads as 0 or ''. */
const FIRST = 'absent until first needed';

/** Fields of a partition's state. */
export const stateFields = {
  deployment: {
    type: 'text',
    what: 'Which deployment the partition belongs to',
    writers: ['adopt'],
    lifetime: ALWAYS,
  },
  epoch: {
    type: 'text',
    what: 'Part of the names of live values: a new one leaves all of them behind',
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
    what: 'The batch in flight; empty if none is',
    writers: ['adopt', 'claim', 'ack', 'recover'],
    lifetime: 'from the claim to the acknowledgement',
  },
  updates: {
    type: 'number',
    what: 'Updates accepted in total; a new state goes on from what the database has',
    writers: ['adopt', 'apply'],
    lifetime: ALWAYS,
  },
  claimed: {
    type: 'number',
    what: 'How many of them were claimed, or discarded by a recovery',
    writers: ['adopt', 'claim', 'recover'],
    lifetime: ALWAYS,
  },
  dropped: {
    type: 'number',
    what: 'How many of those claimed were discarded by a recovery',
    writers: ['recover'],
    lifetime: FIRST,
  },
  pushed: {
    type: 'number',
    what: 'Counters that became pending, in total; also the number that the next one gets',
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
  entryNext: {
    type: 'number',
    what: 'Number that the next entry gets',
    writers: ['adopt', 'apply'],
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
    what: 'Entries below this number may be in MySQL already, as Redis forgot what it had claimed',
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
    what: 'Number of the first counter behind the segment',
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
    what: 'Number of the first entry behind the segment',
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
    what: 'Number of the first counter behind the batch in flight',
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
    what: 'When the oldest update of the batch in flight was accepted, ms',
    writers: ['adopt', 'claim', 'ack'],
    lifetime: 'from the claim to the acknowledgement; 0 otherwise',
  },
  run: {
    type: 'text',
    what: '`run_id` of the process of Redis that the last call of `apply.lua` met',
    writers: ['apply'],
    lifetime: FIRST,
  },
  incarnation: {
    type: 'text',
    form: 'incarnation',
    what: 'Name of that process for this partition',
    writers: ['apply'],
    lifetime: FIRST,
  },
  ended: {
    type: 'text',
    form: 'ended',
    what: 'The incarnations before it',
    writers: ['adopt', 'apply'],
    lifetime: ALWAYS,
  },
  discarded: {
    type: 'text',
    form: 'discarded',
    what: 'Updates that the recovery under way has discarded so far',
    writers: ['recover'],
    lifetime: 'until that recovery ends',
  },
  claims: {
    type: 'number',
    what: 'Calls of `claim.lua`: each changes something, so that a claim can be waited for',
    writers: ['claim'],
    lifetime: FIRST,
  },
  barriers: {
    type: 'number',
    what: 'Calls that were to be durable: each changes something, so that it can be waited for',
    writers: ['apply-call.ts'],
    lifetime: FIRST,
  },
} as const satisfies Record<string, FieldLayout>;

export type StateField = keyof typeof stateFields;
/** A state as TypeScript has it. */
export type State = {
  [Field in StateField]: (typeof stateFields)[Field]['type'] extends 'number' ? number : string;
};

/** The key of a namespace, behind `{namespace}:`, that processes write at their start, once and for ever. */
export const FORMAT_KEY = 'format';
/** Fields of that hash. */
export const formatFields = {
  deployment: 'Which deployment the namespace belongs to',
  partitions: 'How many partitions there are',
  format: 'Version of this layout: `REDIS_FORMAT`',
} as const;
export type FormatField = keyof typeof formatFields;

/** The name of BullMQ's only queue, whose keys are `{namespace}:flush:*`. */
export const QUEUE_NAME = 'flush';
