/**
 * What the console's routes answer, as types that the page shares. A number that may exceed 2^53 is a decimal text
 * (`Exact`); counts of rows, seconds and times are numbers or ISO 8601 texts.
 */
import type { Role } from '../shared/roles.ts';
import type { FailedUpdate } from '../shared/updates/failed-update.ts';

/** A whole number as decimal digits. */
type Exact = string;

export type { Role };

export type ShownKind = 'counter' | 'points' | 'value';

/** `GET /api/me`: who asks. Anyone may ask. */
export interface Me {
  /** Null if nobody is logged in. */
  readonly user: { readonly name: string; readonly role: Role } | null;
  /** `open`: there are no users, so anyone on this machine may look and nobody may change anything. */
  readonly login: 'open' | 'form' | 'proxy';
  /** Whether `/openid/start` logs in. */
  readonly openid: boolean;
  readonly version: string;
  readonly namespace: string;
}

/** Why the verdict is what it is, in the order of urgency. */
export type Reason =
  | 'redis-away'
  | 'database-away'
  | 'halted'
  | 'lost'
  | 'breaker-open'
  | 'no-workers'
  | 'stuck'
  | 'memory'
  | 'lag'
  | 'held'
  | 'quarantine'
  | 'failed-jobs'
  | 'transfers-aside'
  | 'holds-overdue'
  | 'stale'
  | 'not-connected'
  | 'well';

export interface Verdict {
  /** `bad`: act now. `warning`: look soon. `well`: nothing to do. */
  readonly level: 'well' | 'warning' | 'bad';
  readonly reason: Reason;
  /** One sentence with its figures, such as "Flushes are 74 s behind in partition 3." */
  readonly sentence: string;
  /** What to do next; empty if all is well. */
  readonly next: string;
  /** Section of docs/operating.md that says more, as `#anchor`; null if all is well. */
  readonly runbook: string | null;
  /** Page of the console that shows more, such as `/partitions?halted`; null if all is well. */
  readonly page: string | null;
  /** What else is wrong, as sentences, the most urgent first. */
  readonly also: readonly string[];
}

/** What one second shows. Null where its server did not answer. */
export interface Sample {
  /** ISO 8601. */
  readonly at: string;
  readonly verdict: Verdict;
  readonly redis: 'connected' | 'unavailable';
  readonly database: 'connected' | 'read-only' | 'unavailable';
  /** Updates a second since the sample before. */
  readonly acceptedPerSecond: number | null;
  readonly flushedPerSecond: number | null;
  /** Age of the oldest update that is not in MySQL, over all partitions, seconds. */
  readonly lagSeconds: number | null;
  /** 99th percentile of that age over the partitions, seconds. */
  readonly lagP99Seconds: number | null;
  /** Lag of each partition, seconds, in their order. */
  readonly lags: readonly number[];
  /** Updates that are pending or in flight. */
  readonly backlog: number | null;
  /** Points that only Redis has, the largest first. */
  readonly atRisk: readonly AtRisk[];
  readonly quarantine: {
    readonly refused: Count;
    readonly held: Count;
    /** Seconds; null if there is none. */
    readonly oldestSeconds: number | null;
  } | null;
  /** Updates declared in total, at most. */
  readonly declared: { readonly lost: number; readonly doubled: number } | null;
  /** Partitions that are halted. */
  readonly halted: readonly number[];
  /** Workers that pause since MySQL does not answer. */
  readonly breakersOpen: number | null;
  readonly workersAlive: number | null;
  readonly memory: { readonly used: number; readonly limit: number | null } | null;
  readonly jobs: {
    readonly waiting: number;
    readonly active: number;
    readonly delayed: number;
    readonly failed: number;
  } | null;
}

/** A count with a time limit: `atLeast` is true if there may be more. */
export interface Count {
  readonly count: number;
  readonly atLeast: boolean;
}

/** What a loss of Redis now would cost a program. */
export interface AtRisk {
  readonly program: string;
  /** Points that are pending or in flight, without their sign; estimated if many accounts have some. */
  readonly points: Exact;
}

/** `GET /api/overview`. The event stream `GET /api/events` sends each `Sample` as an event `sample`. */
export interface Overview {
  /** Null until the first one is taken. */
  readonly sample: Sample | null;
}

/** `GET /api/history?minutes=60`. All columns have the same length, with the oldest value first, and null where nothing is known. */
export interface History {
  /** `memory`: of this process, since it started. `prometheus`: of the server in SLUICE_PROMETHEUS_URL. */
  readonly source: 'memory' | 'prometheus';
  /** Seconds since 1970. */
  readonly times: readonly number[];
  readonly accepted: readonly (number | null)[];
  readonly flushed: readonly (number | null)[];
  readonly lag: readonly (number | null)[];
  readonly backlog: readonly (number | null)[];
  readonly memory: readonly (number | null)[];
}

/** `GET /api/partitions`. */
export interface Partitions {
  readonly partitions: readonly PartitionRow[];
}

export interface PartitionRow {
  readonly partition: number;
  readonly pendingUpdates: number;
  readonly pendingKeys: number;
  readonly inFlight: number;
  readonly sequence: Exact;
  readonly lagSeconds: number;
  /** ISO 8601; when the watermark moved last. Null if it never did. */
  readonly committedAt: string | null;
  /** Whether nothing of it is written, since both sides contradict each other; its evidence says why. */
  readonly halted: boolean;
}

/** `GET /api/partitions/{partition}/evidence`: what `sluice recover` shows. */
export interface PartitionEvidence {
  readonly partition: number;
  readonly verdict: string;
  /** What the verdict means, in a sentence. */
  readonly why: string;
  readonly redis: Readonly<Record<string, Exact>> | null;
  readonly database: Readonly<Record<string, Exact>> | null;
  readonly damage: { readonly kind: string; readonly updates: number; readonly isExact: boolean } | null;
  /** The command that recovers it, for the terminal; null if there is nothing to do. */
  readonly command: string | null;
}

/** `GET /api/look-up?kind=points&name=loyalty&key=alice`. */
export interface LookUp {
  readonly kind: ShownKind;
  readonly name: string;
  /** A composite key as the list that callers give is shown as JSON in `shownKey`. */
  readonly key: string;
  readonly shownKey: string;
  readonly partition: number;
  /** `cold`: not in Redis; the next read loads it from MySQL. */
  readonly live: { readonly state: 'live' | 'cold'; readonly value: Exact | null };
  /** What `live` is when it adds up. A value keeps one of the parts, others are sums of them. */
  readonly parts: {
    readonly mysql: Exact | null;
    readonly quarantine: { readonly amount: Exact; readonly updates: Count };
    readonly inFlight: { readonly amount: Exact; readonly updates: number };
    readonly pending: { readonly amount: Exact; readonly updates: number };
  };
  /** The right live value; null if a value was never put. */
  readonly expected: Exact | null;
  /** Live minus expected; null if it is cold or no number. */
  readonly drift: Exact | null;
  /** False if flushes kept coming between the reads, so that nothing can be said now. */
  readonly settled: boolean;
  /** Why nothing can be said now; null if `settled`. */
  readonly unsettledWhy: string | null;
  /** Points that the account holds, live and expected; null if it holds none. Of a cold key `live` is null. */
  readonly held: { readonly live: Exact | null; readonly expected: Exact | null } | null;
  /** When Redis may forget the live value at the earliest and at the latest, seconds; null if it is cold. */
  readonly ttlSeconds: { readonly from: number; readonly to: number } | null;
  /** The mapped table and column; null for Sluice's own tables. */
  readonly target: string | null;
  readonly openHolds: readonly {
    readonly id: string;
    readonly amount: Exact;
    readonly createdAt: string;
    readonly expiresAt: string | null;
  }[];
  /** True if there are more open holds than these. */
  readonly moreHolds: boolean;
}

/** `GET /api/look-up/ledger?name=loyalty&key=alice&before=ID&limit=50`, the newest first. */
export interface Ledger {
  readonly entries: readonly LedgerEntry[];
  /** The parameter `before` of the next page; null at the end. */
  readonly next: string | null;
}

export interface LedgerEntry {
  readonly id: string;
  readonly amount: Exact;
  readonly balanceAfter: Exact | null;
  /** Null also if the role may not see it. */
  readonly reason: string | null;
  /** JSON text. */
  readonly metadata: string | null;
  readonly transfer: string | null;
  readonly otherAccount: string | null;
  readonly hold: string | null;
  readonly createdAt: string;
  readonly persisted: boolean;
}

/** `POST /api/look-up/repair` with `{ kind, name, key, reason }` (operator). */
export interface Repaired {
  readonly operation: number;
  /** The live value before and after; null if it was no number, or was or is cold. */
  readonly was: Exact | null;
  readonly became: Exact | null;
  /** Points that the account held and holds live; null if neither is above 0, or if it was cold. */
  readonly held: { readonly was: Exact; readonly became: Exact } | null;
}

/** `GET /api/trace?name=loyalty&key=alice&id=order-7`. */
export interface Trace {
  readonly program: string;
  readonly account: string;
  readonly id: string;
  readonly partition: number;
  /** `unknown`: no server knows the id. It was never accepted, or Redis lost it. */
  readonly state: 'pending' | 'in-flight' | 'ledger' | 'quarantine' | 'dropped' | 'hold' | 'unknown';
  /** One sentence: what became of it. */
  readonly sentence: string;
  /** What is known, the oldest first. */
  readonly steps: readonly TraceStep[];
}

export interface TraceStep {
  readonly what:
    | 'accepted'
    | 'pending'
    | 'in-flight'
    | 'ledger'
    | 'quarantine'
    | 'operation'
    | 'transfer'
    | 'hold';
  /** ISO 8601; null if nobody recorded it. */
  readonly at: string | null;
  /** One sentence. */
  readonly text: string;
  readonly amount: Exact | null;
  /** An entry of `sluice_quarantine` or an operation, for a link. */
  readonly quarantine: number | null;
  readonly operation: number | null;
}

/**
 * A filter as the query of an address: `kind`, `name`, `key`, `keyPrefix` (how the key begins), `code`, `from`, `until`,
 * `partition`, `sequence`.
 */
export interface Filter {
  readonly kind?: string;
  readonly name?: string;
  readonly key?: string;
  readonly keyPrefix?: string;
  readonly code?: string;
  readonly from?: string;
  readonly until?: string;
  readonly partition?: number;
  readonly sequence?: number;
  readonly ids?: readonly number[];
  readonly jobs?: readonly string[];
}

/** `GET /api/quarantine/groups?...filter`: by error code and name, the largest first. */
export interface QuarantineGroups {
  readonly groups: readonly QuarantineGroup[];
  /** Groups that are not listed. */
  readonly unlisted: number;
  readonly total: Count;
}

export interface QuarantineGroup {
  readonly kind: string;
  readonly name: string;
  readonly code: string;
  readonly cause: 'refused' | 'held';
  readonly updates: Count;
  readonly oldestAt: string;
  readonly newestAt: string;
}

/** `GET /api/quarantine?...filter&after=0&limit=50`. */
export interface QuarantinePage {
  readonly updates: readonly ShownFailedUpdate[];
  readonly total: Count;
  readonly next: number | null;
}

/** An update in quarantine. Reason and metadata are null also if the role may not see them. */
export interface ShownFailedUpdate
  extends Omit<FailedUpdate, 'amount' | 'metadata' | 'version' | 'sequence'> {
  readonly amount: Exact;
  readonly sequence: Exact;
  readonly version: Exact | null;
  /** JSON text. */
  readonly metadata: string | null;
}

/** `GET /api/quarantine/{id}`: an update that is or was in quarantine, with its history. */
export interface QuarantinedUpdate {
  readonly id: number;
  /** Null if it is no longer in quarantine. */
  readonly update: ShownFailedUpdate | null;
  readonly items: readonly {
    readonly operation: number;
    readonly action: string;
    readonly operator: string;
    readonly reason: string | null;
    readonly outcome: string;
    readonly doneAt: string;
    readonly original: ShownFailedUpdate;
  }[];
}

export interface EditChange {
  readonly amount?: number;
  readonly reason?: string;
  readonly metadata?: object;
}

/** Body of `POST /api/quarantine/plan` (viewer) and, with the rest, of `POST /api/quarantine/run` (operator). */
export interface Selection {
  readonly action: 'replay' | 'edit' | 'drop';
  readonly filter?: Filter;
  /** Selects everything, if there is no filter. */
  readonly all?: boolean;
  readonly change?: EditChange;
}

/** What a dry run counted. */
export interface Counted {
  /** Number of the newest update that was in quarantine then, whether it matches or not; 0 if there was none. */
  readonly last: number;
  /** Ids of the failed flush jobs that match. */
  readonly jobs: readonly string[];
}

export interface RunRequest extends Selection {
  readonly reason: string;
  /** Updates a second. */
  readonly rate?: number;
  /** As the plan answered it. The run changes nothing that came later. */
  readonly counted: Counted;
  /** `updates` and `jobs` of the plan together. If more of what it counted match now, the run is refused with `COUNT_CHANGED`. */
  readonly expected: number;
}

/** What a run would do: each replay is tried against the database and rolled back. */
export interface ShownPlan {
  readonly action: string;
  readonly updates: number;
  readonly jobs: number;
  readonly groups: readonly {
    readonly kind: string;
    readonly name: string;
    readonly code: string;
    readonly outcome: string;
    readonly updates: number;
  }[];
  /** True if more match than were tried within the time limit: then `updates` are all, and `tried` fewer. */
  readonly partial: boolean;
  readonly tried: number;
  /** Goes back with the run. */
  readonly counted: Counted;
}

/** `GET /api/jobs?state=failed&after=0&limit=50`. */
export interface Jobs {
  readonly counts: {
    readonly waiting: number;
    readonly active: number;
    readonly delayed: number;
    readonly failed: number;
  };
  readonly jobs: readonly {
    readonly job: string;
    readonly state: 'waiting' | 'active' | 'delayed' | 'failed';
    readonly partition: number;
    readonly attempts: number;
    /** Its last error; empty if it has none, null if the role may not see it. */
    readonly reason: string | null;
    /** ISO 8601. */
    readonly at: string;
  }[];
}

/** `GET /api/operations?before=&limit=50&operator=&action=`, the newest first; `GET /api/operations/{id}`. */
export interface OperationsPage {
  readonly operations: readonly ShownOperation[];
  readonly next: number | null;
}

export interface ShownOperation {
  readonly operation: number;
  readonly action: string;
  readonly operator: string;
  readonly reason: string | null;
  /** Where the request came from; null for commands. */
  readonly address: string | null;
  /** As JSON text, for people to read. */
  readonly filter: string;
  /** Most updates a second, also when it is resumed; null without a limit. */
  readonly rate: number | null;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly outcomes: Readonly<Record<string, number>>;
  /** Null unless this process runs it. */
  readonly progress: { readonly done: number; readonly total: number | null } | null;
  /** `running` here, `interrupted` (can be resumed), or `finished`. Another process may run one that is interrupted. */
  readonly state: 'running' | 'interrupted' | 'finished';
}

export interface OperationDetail extends ShownOperation {
  readonly items: QuarantinedUpdate['items'];
  /** The parameter `after` of the next page; null at the end. */
  readonly next: number | null;
}

/** `GET /api/verify`. `POST /api/verify` (operator) starts one; `POST /api/verify/repair` `{ reason }` (admin). */
export interface VerifyState {
  readonly running: { readonly startedAt: string; readonly by: string; readonly repairs: boolean } | null;
  readonly last: {
    readonly startedAt: string;
    readonly finishedAt: string;
    readonly by: string;
    /** The problem that ended it; null if it came to its end. */
    readonly error: string | null;
    readonly checked: number;
    readonly drift: readonly {
      readonly kind: ShownKind;
      readonly name: string;
      readonly key: string;
      readonly shownKey: string;
      readonly live: Exact | null;
      readonly expected: Exact | null;
      readonly became: Exact | null;
      /** Points that the account holds, live and as it should be; null if neither is above 0. */
      readonly held: { readonly live: Exact; readonly expected: Exact } | null;
    }[];
    readonly ledger: readonly {
      readonly program: string;
      readonly account: string;
      readonly balance: Exact;
      readonly sum: Exact;
    }[];
    /** Sentences about `alsoWrong` and `unread`. */
    readonly more: readonly string[];
    /** Differences of all kinds that are not listed: those beyond the longest lists. */
    readonly unlisted: number;
    /** Scores, transfers, holds and sums of open holds that are or were wrong. */
    readonly alsoWrong: number;
    /** Names that were not compared, since their table cannot be read. */
    readonly unread: number;
  } | null;
}

/** `GET /api/processes`: workers, services and consoles that are alive, with what they run. */
export interface Processes {
  readonly processes: readonly {
    readonly id: string;
    readonly role: 'worker' | 'serve' | 'console';
    readonly host: string;
    readonly pid: number;
    readonly version: string;
    readonly startedAt: string;
    /** Seconds since it was heard of. */
    readonly silentSeconds: number;
    readonly breaker: 'open' | 'closed' | null;
    /** Settings without secrets, by the name of their variable. */
    readonly settings: Readonly<Record<string, string>>;
    /** Digest of its definitions. */
    readonly definitions: string;
  }[];
  /** Digest of the console's own definitions. */
  readonly definitions: string;
  /** Names of settings, or `definitions`, whose values differ between processes of a role. */
  readonly disagreements: readonly {
    readonly what: string;
    readonly values: Readonly<Record<string, readonly string[]>>;
  }[];
}

/** `GET /api/definitions`. */
export interface ShownDefinitions {
  readonly names: readonly {
    readonly kind: ShownKind;
    readonly name: string;
    /** The mapped table and column; null for Sluice's own tables. */
    readonly target: string | null;
    readonly ranked: boolean;
    readonly floor: number | null;
    readonly keep: string | null;
  }[];
  /** The whole file as JSON text. */
  readonly text: string;
}

/** `GET /api/users` (admin). Users are made by `sluice users`. */
export interface Users {
  readonly users: readonly {
    readonly name: string;
    readonly role: Role;
    readonly createdAt: string;
    readonly lastLoginAt: string | null;
  }[];
}

/** Any error: `application/problem+json`. */
export interface ShownProblem {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly retryable: boolean;
}
