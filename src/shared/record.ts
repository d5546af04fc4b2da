/** A pending entry's record in Redis: `time previous amount balance length:item payload`, as apply.lua writes it. */

export interface RecordedEntry {
  readonly program: string;
  readonly account: string;
  /** `program:account` */
  readonly item: string;
  readonly id: string;
  readonly amount: number;
  /** Balance that Redis answered; MySQL's may differ after corrections. */
  readonly balance: number;
  readonly reason: string | null;
  readonly metadata: Record<string, unknown> | null;
  /** Ms of Redis' clock. */
  readonly acceptedAt: number;
  /** The entry as JSON, as the producer sent it. */
  readonly payload: string;
}

export function parseRecord(record: string): RecordedEntry {
  const [time, , amount, balance] = record.split(' ', 4);
  const colon = record.indexOf(':');
  const itemBytes = Number(record.slice(record.lastIndexOf(' ', colon) + 1, colon));
  const payload = withoutBytes(record.slice(colon + 1), itemBytes);
  const [program, account, id, , reason, metadata] = JSON.parse(payload) as [
    string,
    string,
    string,
    number,
    string | null,
    Record<string, unknown> | null,
  ];
  return {
    program,
    account,
    item: `${program}:${account}`,
    id,
    amount: Number(amount),
    balance: Number(balance),
    reason,
    metadata,
    acceptedAt: Number(time),
    payload,
  };
}

/** The length in the record counts bytes, as Lua does; only for pure ASCII are those characters too. */
function withoutBytes(text: string, bytes: number): string {
  if (Buffer.byteLength(text) === text.length) return text.slice(bytes);
  return Buffer.from(text).subarray(bytes).toString();
}
