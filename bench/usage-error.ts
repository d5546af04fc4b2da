/** What the command line asks for does not exist or does not go together. */
export class UsageError extends Error {}
