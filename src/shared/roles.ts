/** Roles of the console's users. */

export const ROLES = ['viewer', 'operator', 'admin'] as const;
/** Each role may do what those before it may. */
export type Role = (typeof ROLES)[number];
