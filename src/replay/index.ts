/** `import { openFailed } from 'sluice/replay'`: failed updates and flush jobs, for programs. */

export type { FailedUpdate } from '../shared/updates/failed-update.ts';
export type { Change } from './amendment.ts';
export {
  type FailedPage,
  type FailedParts,
  FailedUpdates,
  type Plan,
  type PlannedGroup,
  type ShownUpdate,
} from './failed.ts';
export type { FailedFilter } from './filter.ts';
export type { HoldOperations, HoldReport } from './hold-operations.ts';
export type { HoldFilter, HoldPage, StoredHold } from './holds.ts';
export type { FailedJob } from './jobs.ts';
export { type FailedOptions, type OpenFailedUpdates, openFailed } from './open.ts';
export type {
  Action,
  Author,
  NamedHold,
  Operation,
  OperationItem,
  TransferAction,
  TransferItem,
} from './operations.ts';
export type { Progress, RunOptions, StartOptions } from './pace.ts';
export type { OperationReport, TakenBy } from './run.ts';
export type { TransferOutcome } from './transfer-changes.ts';
export type { TransferFilter } from './transfer-filter.ts';
export type {
  PlannedTransfers,
  TransferOperations,
  TransferPage,
  TransferPlan,
  TransferReport,
  TransferRunOptions,
} from './transfer-operations.ts';
export type { TransitTransfer } from './transfers.ts';
