/**
 * A game's best scores and its leaderboard.
 *
 * The pattern: a value of which one put is kept, with ranks that Sluice keeps beside it. Use it if many ask for ranks
 * and many write; MySQL would sort the whole table for each of them.
 *
 * `page` is the `next` of the page before, not a number: it names the last player that was shown, so a page never
 * repeats or leaves out a player whose score stayed, however many others climb meanwhile.
 *
 * It keeps no seasons: use a name for each, and it does not know whether a score was earned.
 */
import type { BoardPlace } from 'sluice';
import { HttpError } from '../errors.ts';
import type { Part } from '../shop.ts';

interface ScoreRoute {
  Params: { player: string };
  Body: { score: number };
}
interface BoardRoute {
  Querystring: { count?: string; page?: string };
}
interface AroundRoute {
  Params: { user: string };
  Querystring: { count?: string };
}

const tags = ['scores'];
const text = { type: 'string' };
/** Checks only the shape; Sluice checks the values. */
const body = { type: 'object', required: ['score'], properties: { score: { type: 'number' } } };
const boardQuery = { type: 'object', properties: { count: text, page: text } };
const aroundQuery = { type: 'object', properties: { count: text } };

const shown = ({ rank, key, value }: { rank: number; key: string; value: number }) => {
  return { rank, player: key, best: value };
};

const writePage = (place: BoardPlace) => Buffer.from(JSON.stringify(place)).toString('base64url');

function readPage(page: string): BoardPlace {
  try {
    const { value, partition, key } = JSON.parse(Buffer.from(page, 'base64url').toString());
    return { value, partition, key };
  } catch {
    throw new HttpError(400, 'INVALID_PAGE', 'page must be the `next` of the page before.');
  }
}

export const scores: Part = (api, { sluice }) => {
  const bestScore = sluice.value('best_score');
  // Not `last_seen`, which is of users: a player may have any name.
  const lastPlayed = sluice.value('last_played');

  // A put needs no id: to send a score again changes nothing.
  const put = { tags, summary: 'A player has scored; the best score is kept', body };
  api.post<ScoreRoute>('/players/:player/scores', { schema: put }, async (request, reply) => {
    const { player } = request.params;
    await Promise.all([bestScore.put(player, request.body.score), lastPlayed.put(player, Date.now())]);
    return reply.status(204).send();
  });
  const player = { tags, summary: 'Best score and rank of a player' };
  api.get<ScoreRoute>('/players/:player', { schema: player }, async request => {
    const { player } = request.params;
    const [{ rank, value, exact }, seen] = await Promise.all([
      bestScore.board.rank(player),
      lastPlayed.get(player),
    ]);
    return { best: value, rank, exact, lastSeen: seen === null ? null : new Date(seen) };
  });

  const board = { tags, summary: 'Players by rank, page by page', querystring: boardQuery };
  api.get<BoardRoute>('/leaderboard', { schema: board }, async request => {
    const { count, page } = request.query;
    const after = page === undefined ? {} : { after: readPage(page) };
    const { members, exact, size, after: last } = await bestScore.board.top(Number(count ?? 10), after);
    return { exact, size, players: members.map(shown), ...(last && { next: writePage(last) }) };
  });
  const around = { tags, summary: 'A player with those before and after', querystring: aroundQuery };
  api.get<AroundRoute>('/leaderboard/around/:user', { schema: around }, async request => {
    const { user } = request.params;
    const { members, exact, size } = await bestScore.board.around(user, Number(request.query.count ?? 5));
    return { exact, size, players: members.map(shown) };
  });
};
