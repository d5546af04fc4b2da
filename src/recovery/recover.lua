#!lua flags=allow-oom
-- What `sluice recover` sees of a partition, and all that it changes in Redis, in steps of bounded work (the batch in flight
-- is bounded by itself). Counters of a restored backup are told from those accepted since by their first acceptance: the
-- watermark's last commit came between the two.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 action   2 the last acceptance that counts as old, ms   3 most pending counters or ids handled in this call
--          look     4 old pending counters that earlier calls have looked at
--          others   4 epoch, 5 sequence and 6 token that the caller saw   7 updates that were declared to be lost
--          discard  takes old pending counters away, the oldest first
--          forget   forgets the ids of entries that were acknowledged, the oldest first
--          move     8 new epoch   9 new sequence   10 new token, '' if nothing is in flight
--                   11 1 to take old counters away, out of the batch in flight as well   12 1 to forget ids
-- Reply    nil if the partition has no state; else as they are after the call
--          { 1,
--            { epoch, sequence, token, updates, claimed, updates ever discarded, updates in flight, pending counter keys,
--              pending entries },
--            { ids that `forget` would take, old updates in flight, updates and number of the pending counters handled in this
--              call, updates discarded so far } }
--          The first is 0 if the state is not the one that the caller saw, or more would be discarded than is declared; it is
--          also 1 if this very move was made before.

--!include base
--!include int
local CHUNK = 1000
local action, cutoff, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local function read()
  --!read state
  return state
end
local state = read()
if state.epoch == '' then return false end

-- How many updates the old ones of these sum up, and which they are; the oldest come first.
local function old(hash, order)
  local updates, items = 0, {}
  for _, element in ipairs(order) do
    local time, item = string.match(element, '^(%d+) (.*)$')
    if tonumber(time) > cutoff then break end
    items[#items + 1] = item
  end
  if #items == 0 then return 0, items end
  for _, value in ipairs(redis.call('HMGET', hash, unpack(items))) do
    updates = updates + string.match(value, ' (%d+) ')
  end
  return updates, items
end

local function between(from, to)
  local at = from - state.segmentStart
  return redis.call('LRANGE', base .. 'segment:order', int(at), int(at + math.min(CHUNK, to - from) - 1))
end

-- Pending counters from a number on: what no batch has claimed of the segment, behind it what is in none.
local function pending(number, limit)
  if number < state.segmentEnd then
    return base .. 'segment:counters', between(number, math.min(state.segmentEnd, number + limit))
  end
  local at = number - math.max(state.popped, state.segmentEnd)
  return base .. 'counters', redis.call('LRANGE', base .. 'order', int(at), int(at + math.min(CHUNK, limit) - 1))
end

local function look(from, limit)
  local updates, keys = 0, 0
  repeat
    local more, items = old(pending(state.popped + from + keys, limit - keys))
    updates, keys = updates + more, keys + #items
  until #items == 0 or keys >= limit
  return updates, keys
end

-- Old counters of the batch in flight, which they are the first of; and where the others begin.
local function lookInFlight()
  local updates, from, to = 0, state.flightFrom, state.flightTo
  while state.token ~= '' and from < to do
    local more, items = old(base .. 'segment:counters', between(from, to))
    if #items == 0 then break end
    updates, from = updates + more, from + #items
  end
  return updates, from
end

-- What an earlier run discarded before it was cut off; 0 if something has mended the partition since.
local epoch, count = string.match(state.discarded, '^(%S+) (%d+)$')
local discarded = epoch == state.epoch and tonumber(count) or 0

-- `updates - claimed` stays what is pending, `claimed - flightUpdates` what is over and done with, and `dropped`, for good, how
-- much of that never went to the database.
local function drop(count) redis.call('HSET', KEYS[1], 'dropped', int(state.dropped + count)) end
local function discard(limit)
  local updates, keys = 0, 0
  repeat
    local hash, order = pending(state.popped, limit - keys)
    local more, items = old(hash, order)
    -- What was discarded of a segment is behind `popped`, as what was claimed.
    if hash == base .. 'counters' and #items > 0 then
      redis.call('LPOP', base .. 'order', #items)
      redis.call('HDEL', base .. 'counters', unpack(items))
    end
    updates, keys, state.popped = updates + more, keys + #items, state.popped + #items
  until #items == 0 or keys >= limit
  discarded = discarded + updates
  if state.token == '' and state.popped >= state.segmentEnd then
    redis.call('UNLINK', base .. 'segment:counters', base .. 'segment:order')
  end
  redis.call('HSET', KEYS[1], 'claimed', int(state.claimed + updates), 'popped', int(state.popped), 'discarded',
    state.epoch .. ' ' .. int(discarded))
  drop(updates)
  return updates, keys
end

-- The ledger knows those of them that it has; the others may be sent again.
local function ids() return redis.call('LLEN', base .. 'entryIds') - (state.entryNext - state.entryAcked) end
local function forget(limit)
  local left = math.min(ids(), limit)
  while left > 0 do
    local gone = redis.call('LPOP', base .. 'entryIds', math.min(left, CHUNK))
    redis.call('HDEL', base .. 'ids', unpack(gone))
    left = left - #gone
  end
end

local epochSeen, sequenceSeen, tokenSeen, declared = ARGV[4], tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
local newEpoch, newSequence, newToken = unpack(ARGV, 8, 10)
local discards, forgetsIds = ARGV[11] == '1', ARGV[12] == '1'
local matches = state.epoch == epochSeen and state.sequence == sequenceSeen and state.token == tokenSeen
local updates, keys = 0, 0
if action == 'look' then
  matches = true
  updates, keys = look(tonumber(ARGV[4]), most)
elseif action == 'move' and state.epoch == newEpoch then
  matches = true
elseif matches and action == 'discard' then
  matches = discarded + look(0, most) + lookInFlight() <= declared
  if matches then updates, keys = discard(most) end
elseif matches and action == 'forget' then
  forget(most)
elseif matches and discards and discarded + look(0, math.huge) + lookInFlight() > declared then
  matches = false
elseif matches then
  if discards then
    updates, keys = discard(math.huge)
    local inFlight, from = lookInFlight()
    state = read()
    drop(inFlight)
    redis.call('HSET', KEYS[1], 'flightUpdates', int(state.flightUpdates - inFlight), 'flightFrom', int(from))
    discarded = discarded + inFlight
  end
  if forgetsIds then
    forget(math.huge)
    redis.call('UNLINK', base .. 'idMarks')
  end
  redis.call('HSET', KEYS[1], 'epoch', newEpoch, 'sequence', newSequence, 'token', newToken)
  -- A backup of Redis has entries that MySQL may have: cold reads wait until they are acknowledged.
  if tonumber(newSequence) ~= state.sequence then redis.call('HSET', KEYS[1], 'doubtful', state.entryNext) end
  redis.call('HDEL', KEYS[1], 'discarded')
end

state = read()
return {
  matches and 1 or 0,
  {
    state.epoch, state.sequence, state.token, state.updates, state.claimed, state.dropped, state.flightUpdates,
    state.pushed - state.popped, state.entryNext - state.entryClaimed,
  },
  { ids(), (lookInFlight()), updates, keys, discarded },
}
