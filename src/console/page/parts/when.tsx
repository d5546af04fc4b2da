/** A time, with how long ago it was. */
import { dateAndTime, now, zoneName } from '../clock.ts';
import { duration } from '../digits.ts';

interface Shown {
  readonly at: string | null;
  /** `only` leaves the date to the title. */
  readonly ago?: boolean | 'only';
}

export function When({ at, ago = true }: Shown) {
  if (at === null) return <span class="quiet">never</span>;
  const seconds = (now.value - Date.parse(at)) / 1000;
  return (
    <time dateTime={at} title={`${dateAndTime(at)} ${zoneName.value}`} class="when">
      {ago !== 'only' && dateAndTime(at)}
      {ago === 'only' && `${duration(Math.max(0, Math.floor(seconds)))} ago`}
      {ago === true && seconds >= 1 && <span class="quiet"> {duration(Math.floor(seconds))} ago</span>}
    </time>
  );
}
