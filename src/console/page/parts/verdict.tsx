/** One sentence on top of every view: is all well, and if not, why and what to do. */
import type { Verdict } from '../../answers.ts';
import { path } from '../address.ts';
import { timeOfDay, zoneName } from '../clock.ts';
import { duration } from '../digits.ts';
import { liveState, sample, silentSeconds } from '../live.ts';
import { LEVEL_WORDS, type Level, Mark } from './mark.tsx';

interface Judged extends Pick<Verdict, 'sentence' | 'next' | 'runbook' | 'page' | 'also'> {
  readonly level: Level;
}

const NOTHING = { next: '', runbook: null, page: null, also: [] };

/** What was judged last, unless that is too old to be believed. */
function judged(): Judged {
  const silent = silentSeconds.value;
  if (silent > 0)
    return {
      ...NOTHING,
      level: 'unknown',
      sentence: `The console has not answered for ${duration(silent)}, so nobody knows how things are now.`,
      next: 'See that its process runs; "sluice status" in a terminal tells the same without it.',
    };
  return sample.value?.verdict ?? { ...NOTHING, level: 'unknown', sentence: 'Waiting for the first sample.' };
}

export function VerdictBar() {
  const { level, sentence, next, runbook, page, also } = judged();
  const isFull = path.value === '/';
  const Sentence = isFull ? 'h1' : 'p';
  return (
    <section class={`verdict verdict-${level}${isFull ? ' verdict-full' : ''}`} aria-label="Verdict">
      <Mark level={level} />
      <div class="verdict-text">
        <Sentence class="verdict-sentence">
          <strong>{LEVEL_WORDS[level]}</strong>
          <span data-verdict={level}>{afterWord(sentence, LEVEL_WORDS[level])}</span>
        </Sentence>
        {next !== '' && <p class="verdict-next">{next}</p>}
        {(runbook !== null || (page !== null && !isHere(page))) && (
          <p class="verdict-links">
            {runbook !== null && <a href={`/runbook.html${runbook}`}>Runbook</a>}
            {page !== null && !isHere(page) && <a href={page}>Show me</a>}
          </p>
        )}
        {isFull && also.length > 0 && (
          <ul class="verdict-also" aria-label="Also">
            {also.map(one => (
              <li key={one}>{one}</li>
            ))}
          </ul>
        )}
        {!isFull && also.length > 0 && <p class="verdict-next">And {also.length} more on the overview.</p>}
      </div>
      <AsOf />
      {/* Screen readers hear a change of the level, not every change of a figure. */}
      <span class="unseen" role="status">
        {LEVEL_WORDS[level]}
      </span>
    </section>
  );
}

/** A sentence may begin with the word that stands before it. */
function afterWord(sentence: string, word: string): string {
  return sentence.startsWith(word) ? sentence.slice(word.length) : `. ${sentence}`;
}

function isHere(page: string): boolean {
  return page === location.pathname + location.search;
}

function AsOf() {
  const taken = sample.value;
  if (taken === null) return null;
  const isOld = liveState.value !== 'live' && liveState.value !== 'polling';
  return (
    <p class="verdict-at">
      {isOld ? 'as of ' : ''}
      <time dateTime={taken.at}>{timeOfDay(taken.at)}</time> {zoneName.value}
    </p>
  );
}
