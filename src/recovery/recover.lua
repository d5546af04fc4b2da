#!lua flags=allow-oom
-- Reads a partition for `sluice recover`, and makes all its changes in Redis, in calls of bounded work (a
-- batch in flight is bounded anyway). A counter is old, that is from a restored backup, if it was first
-- accepted before the watermark's last commit.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 action   2 latest acceptance time of old counters, ms   3 most pending counters or ids per call
--          look     4 old pending counters that earlier calls have looked at
--          others   4 epoch, 5 sequence and 6 token that the caller saw   7 updates declared as lost
--          discard  removes old pending counters, the oldest first
--          forget   forgets ids of acknowledged entries, the oldest first
--          move     8 new epoch   9 new sequence   10 new token, '' if nothing is in flight
--                   11 1 to remove old counters, also from the batch in flight   12 1 to forget ids
-- Reply    nil if the partition has no state; else, after the call,
--          { 1,
--            { epoch, sequence, token, updates, claimed, updates discarded in total, updates in flight,
--              pending counter keys, pending entries },
--            { ids that `forget` would remove, old updates in flight, updates and number of the pending
--              counters that this call handled, updates discarded so far } }
--          The first number is 0 if the state is not the one that the caller saw, or if more than declared
--          would be discarded. It is also 1 if this move was made before.

--!include base
--!include int
--!include new-epoch
local CHUNK = 1000
local action, cutoff, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local function read()
  --!read state
  return state
end
local state = read()
if state.epoch == '' then return false end

-- Updates in the old counters among these elements, and their items. Elements are ordered by age, the oldest
-- first.
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

-- Pending counters from a number on: first the unclaimed ones of the segment, then those after it.
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

-- Updates in the old counters of the batch in flight, which come first in it, and the number of the first
-- other one.
local function lookInFlight()
  local updates, from, to = 0, state.flightFrom, state.flightTo
  while state.token ~= '' and from < to do
    local more, items = old(base .. 'segment:counters', between(from, to))
    if #items == 0 then break end
    updates, from = updates + more, from + #items
  end
  return updates, from
end

-- Updates that an interrupted run discarded; 0 if the partition was repaired since.
local epoch, count = string.match(state.discarded, '^(%S+) (%d+)$')
local discarded = epoch == state.epoch and tonumber(count) or 0

-- Invariants: `updates - claimed` is pending, `claimed - flightUpdates` is finished, and `dropped` of those
-- never went to the database.
local function drop(count) redis.call('HSET', KEYS[1], 'dropped', int(state.dropped + count)) end
local function discard(limit)
  local updates, keys = 0, 0
  repeat
    local hash, order = pending(state.popped, limit - keys)
    local more, items = old(hash, order)
    -- Discarded counters of a segment are below `popped`, like claimed ones, and need no deletion here.
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

-- Number of ids of acknowledged entries. The ledger still refuses entries that it has; lost ones may be sent
-- again.
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
  endLive()
  -- MySQL may have entries of a backup of Redis, or lack holds that pending entries end: cold reads of accounts wait
  -- until these are acknowledged.
  redis.call('HSET', KEYS[1], 'epoch', newEpoch, 'sequence', newSequence, 'token', newToken, 'doubtful', state.entryNext)
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
