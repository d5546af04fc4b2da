/** How a plan shows numbers: rounded to what an estimate can mean. */

/** Up to three digits behind the point for what is small, none from 100 on. */
export function count(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}

/** In MiB or GiB. */
export function bytes(value: number): string {
  const mib = value / 1024 ** 2;
  return mib < 1024 ? `${count(mib)} MiB` : `${count(mib / 1024)} GiB`;
}
