#!lua flags=allow-oom
-- What `sluice recover` sees of a partition, and all that it changes in Redis. Counters of a restored backup are told from
-- those accepted since by their first acceptance: the watermark's last commit came between the two.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 'look', or what becomes of old counters: 'keep' or 'discard'   2 the last acceptance that counts as old, ms
--          and where it is not 'look':
--          3 epoch, 4 sequence and 5 token that the caller saw   6 new epoch   7 new sequence
--          8 new token, '' where nothing is in flight   9 1 to forget the ids of entries that were acknowledged
-- Reply    nil where the partition has no state, else
--          { 1, epoch, sequence, token, updates, claimed, updates in flight, pending counter keys, pending entries,
--            old updates in flight, old updates pending } as they were before the change; the first is 0 where the
--          state is not the one that the caller saw, and 1 also where this very call was made before

local base = string.sub(KEYS[1], 1, -6)
local CHUNK = 1000
local action, cutoff = ARGV[1], tonumber(ARGV[2])
local state = redis.call('HMGET', KEYS[1], 'epoch', 'sequence', 'token', 'updates', 'claimed', 'flightUpdates',
  'entryNext', 'entryClaimed', 'entryAcked', 'popped')
if not state[1] then return false end
local function int(number) return string.format('%.0f', number) end

-- How many updates the old counters of a hash sum up, and how many counters that are. `order` has the oldest first.
local function old(hash, order, remove)
  local updates, keys, at = 0, 0, 0
  while true do
    local items = {}
    for _, element in ipairs(redis.call('LRANGE', base .. order, at, at + CHUNK - 1)) do
      local time, item = string.match(element, '^(%d+) (.*)$')
      if tonumber(time) > cutoff then break end
      items[#items + 1] = item
    end
    if #items == 0 then return updates, keys end
    for _, value in ipairs(redis.call('HMGET', base .. hash, unpack(items))) do
      updates = updates + tonumber(string.match(value, ' (%d+)$'))
    end
    keys = keys + #items
    if remove then
      redis.call('LPOP', base .. order, #items)
      redis.call('HDEL', base .. hash, unpack(items))
    else
      at = at + #items
    end
  end
end

local matches = 1
if action ~= 'look' and state[1] ~= ARGV[6] and (state[1] ~= ARGV[3] or state[2] ~= ARGV[4] or state[3] ~= ARGV[5]) then
  matches = 0
end
local changes = action ~= 'look' and matches == 1 and state[1] ~= ARGV[6]
local discards = changes and action == 'discard'
local pendingKeys, pendingEntries = redis.call('LLEN', base .. 'order'), state[7] - state[8]
local inFlight = old('flight:counters', 'flight:order', discards)
local pending, popped = old('counters', 'order', discards)
local reply = {
  matches, state[1], state[2], state[3], state[4], state[5], state[6], int(pendingKeys), int(pendingEntries),
  int(inFlight), int(pending),
}
if not changes then return reply end

-- `updates - claimed` stays what is pending, and `claimed - flightUpdates` what is over and done with.
if discards then
  redis.call('HSET', KEYS[1], 'claimed', int(state[5] + pending), 'flightUpdates', int(state[6] - inFlight),
    'popped', int(state[10] + popped))
end
if ARGV[9] == '1' then
  -- The ledger knows those of them that it has; the others may be sent again.
  local left = redis.call('LLEN', base .. 'entryIds') - (state[7] - state[9])
  while left > 0 do
    local ids = redis.call('LPOP', base .. 'entryIds', math.min(left, CHUNK))
    redis.call('HDEL', base .. 'ids', unpack(ids))
    left = left - #ids
  end
  redis.call('UNLINK', base .. 'idMarks')
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[6], 'sequence', ARGV[7], 'token', ARGV[8])
return reply
