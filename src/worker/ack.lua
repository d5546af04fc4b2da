#!lua flags=allow-oom
-- Ends the batch in flight after its commit: forgets its data, lets its ids start to expire, and deletes the live
-- values that the commit proved wrong (deleting is safe, arithmetic is not).
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 token   2 idempotency window, ms   3 counters and entries of the batch that are in quarantine
--          then two for each live value to delete: kind c|p, item
-- Reply    { 0 } where the token is not in flight (somebody else was faster), else
--          { 1, updates still pending, counter keys and entries still pending }

local base = string.sub(KEYS[1], 1, -6)
local state = redis.call('HMGET', KEYS[1], 'token', 'epoch', 'entryAcked', 'entryClaimed', 'updates', 'claimed',
  'popped', 'entryNext', 'pushed', 'segmentEnd', 'entrySegmentEnd')
if state[1] ~= ARGV[1] then return { 0 } end

local function int(number) return string.format('%.0f', number) end
local from, to = tonumber(state[3]), tonumber(state[4])
if to > from then
  local at = from
  while at < to do
    local names, stop = {}, math.min(to, at + 1000)
    for number = at, stop - 1 do names[#names + 1] = int(number) end
    redis.call('HDEL', base .. 'entries', unpack(names))
    at = stop
  end
  local clock = redis.call('TIME')
  redis.call('RPUSH', base .. 'idMarks', int(clock[1] * 1000 + math.floor(clock[2] / 1000) + ARGV[2]) .. ' ' .. int(to))
end
-- Freed in the background. Of a segment that lasts longer, claims take out what is acknowledged.
if tonumber(state[7]) >= tonumber(state[10]) then redis.call('UNLINK', base .. 'segment:counters', base .. 'segment:order') end
if to >= tonumber(state[11]) then redis.call('UNLINK', base .. 'segment:accounts') end
for at = 4, #ARGV, 2 do
  local kind, item = ARGV[at], ARGV[at + 1]
  redis.call('UNLINK', base .. kind .. ':' .. state[2] .. ':' .. item)
end
redis.call('HSET', KEYS[1], 'token', '', 'entryAcked', state[4], 'poppedAcked', state[7], 'flightUpdates', 0,
  'flightOldest', 0)
redis.call('HINCRBY', KEYS[1], 'quarantined', ARGV[3])
return { 1, int(state[5] - state[6]), int(state[9] - state[7] + state[8] - state[4]) }
