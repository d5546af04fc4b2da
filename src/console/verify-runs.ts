/** The comparison that this process runs, if any, and the result of the last one. */
export class VerifyRuns {}
