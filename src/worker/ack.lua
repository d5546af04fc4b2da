#!lua flags=allow-oom
-- Ends the batch in flight after its commit: removes its data, lets its ids start to expire, and deletes the
-- live values that the commit proved wrong (to delete is safe, to compute is not). Their scores are noted.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 token   2 idempotency window, ms   3 counters and entries of the batch that are in quarantine
--          4 the batch's credits, holds and ends of holds, names of their ids in `ids` as a JSON array; '' for none
--          then two for each live value to delete: kind, item
-- Reply    { 0 } if the token is not in flight (another worker was faster), else
--          { 1, updates still pending, counter keys and entries still pending }

--!include base
--!include int
local token, windowMs, quarantined, credits = unpack(ARGV, 1, 4)
--!read state
if state.token ~= token then return { 0 } end
--!include boards
local boards = boardsOf(#ARGV > 4 and state.boards or '', state.epoch)

local from, to = state.entryAcked, state.entryClaimed
if to > from then
  --!include now
  local at = from
  while at < to do
    local names, stop = {}, math.min(to, at + 1000)
    for number = at, stop - 1 do names[#names + 1] = int(number) end
    redis.call('HDEL', base .. 'entries', unpack(names))
    at = stop
  end
  redis.call('RPUSH', base .. 'idMarks', int(now + windowMs) .. ' ' .. int(to))
end
-- What was left out or put aside of them may come again, and MySQL knows those that it has.
if credits ~= '' then
  local names = cjson.decode(credits)
  for first = 1, #names, 1000 do
    redis.call('HDEL', base .. 'ids', unpack(names, first, math.min(#names, first + 999)))
  end
end
-- Redis frees them in the background. Claims remove the acknowledged part of a segment that is not used up.
if state.popped >= state.segmentEnd then redis.call('UNLINK', base .. 'segment:counters', base .. 'segment:order') end
if to >= state.entrySegmentEnd then redis.call('UNLINK', base .. 'segment:accounts') end
-- A value is in one of the two: left in the other, it would be read again.
for at = 5, #ARGV, 2 do
  redis.call('HDEL', base .. 'live:young', ARGV[at] .. ARGV[at + 1])
  redis.call('HDEL', base .. 'live:old', ARGV[at] .. ARGV[at + 1])
  noteOnBoard(boards, ARGV[at], ARGV[at + 1])
end
redis.call('HSET', KEYS[1], 'token', '', 'entryAcked', to, 'poppedAcked', state.popped, 'flightUpdates', 0, 'flightOldest', 0)
redis.call('HINCRBY', KEYS[1], 'quarantined', quarantined)
return { 1, state.updates - state.claimed, state.pushed - state.popped + state.entryNext - to }
