#!lua flags=allow-oom
-- What `sluice recover` sees of a partition, and all that it changes in Redis, in steps of bounded work (the batch in flight
-- is bounded by itself). Counters of a restored backup are told from those accepted since by their first acceptance: the
-- watermark's last commit came between the two.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 action   2 the last acceptance that counts as old, ms   3 most pending counters or ids handled in this call
--          look     4 old pending counters that earlier calls have looked at
--          others   4 epoch, 5 sequence and 6 token that the caller saw
--          discard  takes old pending counters away, the oldest first
--          forget   forgets the ids of entries that were acknowledged, the oldest first
--          move     7 new epoch   8 new sequence   9 new token, '' where nothing is in flight
--                   10 1 to take old counters away, out of the batch in flight as well   11 1 to forget ids
-- Reply    nil where the partition has no state, else
--          { 1, epoch, sequence, token, updates, claimed, updates in flight, pending counter keys, pending entries,
--            ids that `forget` would take, old updates in flight, updates and number of the pending counters handled in this
--            call, updates discarded so far } as they are after the call; the first is 0 where the state is not the one that
--          the caller saw, and 1 also where this very move was made before

local base = string.sub(KEYS[1], 1, -6)
local CHUNK = 1000
local action, cutoff, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local function read()
  return redis.call('HMGET', KEYS[1], 'epoch', 'sequence', 'token', 'updates', 'claimed', 'flightUpdates', 'entryNext',
    'entryClaimed', 'entryAcked', 'popped', 'discarded')
end
local state = read()
if not state[1] then return false end
local function int(number) return string.format('%.0f', number) end

-- How many updates old counters sum up, from a place of their order on, which has the oldest first; and how many they are.
local function old(hash, order, from, limit, remove)
  local updates, keys = 0, 0
  while keys < limit do
    local at, items = remove and 0 or from + keys, {}
    for _, element in ipairs(redis.call('LRANGE', base .. order, at, at + math.min(CHUNK, limit - keys) - 1)) do
      local time, item = string.match(element, '^(%d+) (.*)$')
      if tonumber(time) > cutoff then break end
      items[#items + 1] = item
    end
    if #items == 0 then break end
    for _, value in ipairs(redis.call('HMGET', base .. hash, unpack(items))) do
      updates = updates + tonumber(string.match(value, ' (%d+)$'))
    end
    if remove then
      redis.call('LPOP', base .. order, #items)
      redis.call('HDEL', base .. hash, unpack(items))
    end
    keys = keys + #items
  end
  return updates, keys
end

-- Of an earlier run that was cut off, as long as nothing has mended the partition since.
local epoch, count = string.match(state[11] or '', '^(%S+) (%d+)$')
local discarded = epoch == state[1] and tonumber(count) or 0

-- `updates - claimed` stays what is pending, and `claimed - flightUpdates` what is over and done with.
local function discard(limit)
  local updates, keys = old('counters', 'order', 0, limit, true)
  discarded = discarded + updates
  redis.call('HSET', KEYS[1], 'claimed', int(state[5] + updates), 'popped', int(state[10] + keys), 'discarded',
    state[1] .. ' ' .. int(discarded))
  return updates, keys
end

-- The ledger knows those of them that it has; the others may be sent again.
local function ids() return redis.call('LLEN', base .. 'entryIds') - (state[7] - state[9]) end
local function forget(limit)
  local left = math.min(ids(), limit)
  while left > 0 do
    local gone = redis.call('LPOP', base .. 'entryIds', math.min(left, CHUNK))
    redis.call('HDEL', base .. 'ids', unpack(gone))
    left = left - #gone
  end
end

local matches = state[1] == ARGV[4] and state[2] == ARGV[5] and state[3] == ARGV[6]
local updates, keys = 0, 0
if action == 'look' then
  matches = true
  updates, keys = old('counters', 'order', tonumber(ARGV[4]), most)
elseif action == 'move' and state[1] == ARGV[7] then
  matches = true
elseif matches and action == 'discard' then
  updates, keys = discard(most)
elseif matches and action == 'forget' then
  forget(most)
elseif matches then
  if ARGV[10] == '1' then
    updates, keys = discard(math.huge)
    local inFlight = old('flight:counters', 'flight:order', 0, math.huge, true)
    redis.call('HSET', KEYS[1], 'flightUpdates', int(state[6] - inFlight))
    discarded = discarded + inFlight
  end
  if ARGV[11] == '1' then
    forget(math.huge)
    redis.call('UNLINK', base .. 'idMarks')
  end
  redis.call('HSET', KEYS[1], 'epoch', ARGV[7], 'sequence', ARGV[8], 'token', ARGV[9])
  redis.call('HDEL', KEYS[1], 'discarded')
end

state = read()
return {
  matches and 1 or 0, state[1], state[2], state[3], state[4], state[5], state[6], int(redis.call('LLEN', base .. 'order')),
  int(state[7] - state[8]), int(ids()), int(old('flight:counters', 'flight:order', 0, math.huge)), int(updates), int(keys),
  int(discarded),
}
