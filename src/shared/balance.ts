/** An account's two numbers, as one text in Redis: `balance`, or `balance/held` if points are held. */
export interface Balance {
  /** Points of the account, those that are held included. */
  readonly balance: number;
  /** Points that are held. */
  readonly held: number;
}

export function readBalance(text: string): Balance {
  const slash = text.indexOf('/');
  return slash < 0
    ? { balance: Number(text), held: 0 }
    : { balance: Number(text.slice(0, slash)), held: Number(text.slice(slash + 1)) };
}

export function balanceText({ balance, held }: Balance): string {
  return held === 0 ? String(balance) : `${balance}/${held}`;
}
