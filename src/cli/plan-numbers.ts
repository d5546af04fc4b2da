/** Formats the numbers of a plan, rounded to the precision of an estimate. */

/** No digit behind the point from 100 on, one from 10 on, and two below. */
export function count(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}

/** In MiB or GiB. */
export function bytes(value: number): string {
  const mib = value / 1024 ** 2;
  return mib < 1024 ? `${count(mib)} MiB` : `${count(mib / 1024)} GiB`;
}
