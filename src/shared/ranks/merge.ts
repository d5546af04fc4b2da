/** The pure part of ranks: members of several partitions in one order, and their ranks. */

/** A member of a board in Redis. */
export interface Placed {
  readonly value: number;
  readonly partition: number;
  readonly key: string;
}

/** A member with its rank: 1 for the highest value; equal values share a rank, as in 1, 2, 2, 4. */
export interface Ranked extends Placed {
  readonly rank: number;
}

/** Members and scores that alternate, as Redis lists them. */
export function placed(partition: number, listed: readonly string[]): Placed[] {
  return Array.from({ length: listed.length / 2 }, (_, at) => {
    return { partition, key: listed[2 * at]!, value: Number(listed[2 * at + 1]) };
  });
}

/** All members in order: the highest value first, then the lower partition, then as Redis listed them. */
export function merged(lists: readonly (readonly Placed[])[]): Placed[] {
  // The sort is stable, so members of one partition stay in their order.
  return lists.flat().sort((a, b) => b.value - a.value || a.partition - b.partition);
}

/**
 * Ranks of members that follow one another.
 * @param before members of the board that stand before the first one
 * @param greater members of the board with a greater value than the first one
 */
export function ranked(members: readonly Placed[], before: number, greater: number): Ranked[] {
  let rank = greater + 1;
  return members.map((member, at) => {
    if (at > 0 && member.value !== members[at - 1]!.value) rank = before + at + 1;
    return { ...member, rank };
  });
}
