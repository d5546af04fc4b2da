#!lua flags=allow-oom
-- Takes the oldest pending updates of a partition into a batch, or returns the batch that is in flight already.
-- Costs O(batch). Writes in every case, because the claim barrier needs something of this connection to wait for.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 token for a new batch   2 most counter keys   3 most entries
-- Reply    nil where nothing is pending or the partition has no state, else
--          { sequence, token, epoch, updates, counters [item, 'sum count', ...] and order ['time item', ...] as JSON,
--            entries { 'time previous amount balance length:item payload', ... }, reclaimed 0|1, time of this server,
--            updates claimed so far with this batch, counter keys claimed so far with it }
--          JSON, because a client reads one long string in a third of the time that thousands of short ones take.

local base = string.sub(KEYS[1], 1, -6)
local CHUNK = 1000
local state = redis.call('HMGET', KEYS[1], 'epoch', 'sequence', 'token', 'updates', 'claimed', 'popped',
  'entryNext', 'entryClaimed', 'entryAcked', 'flightUpdates')
local epoch, sequence, token = state[1], tonumber(state[2]), state[3]
if not epoch then return false end

redis.call('DEL', base .. 'armed')
redis.call('HINCRBY', KEYS[1], 'claims', 1)

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function int(number) return string.format('%.0f', number) end

local function records(from, to)
  local found = {}
  while from < to do
    local names, stop = {}, math.min(to, from + CHUNK)
    for number = from, stop - 1 do names[#names + 1] = int(number) end
    for _, record in ipairs(redis.call('HMGET', base .. 'entries', unpack(names))) do
      if record then found[#found + 1] = record end
    end
    from = stop
  end
  return found
end

local function json(list) return #list == 0 and '[]' or cjson.encode(list) end
local function batch(entries, reclaimed, updates, claimed, popped)
  return {
    int(sequence), token, epoch, int(updates), json(redis.call('HGETALL', base .. 'flight:counters')),
    json(redis.call('LRANGE', base .. 'flight:order', 0, -1)), entries, reclaimed, int(now),
    int(claimed), int(popped),
  }
end

local entryClaimed = tonumber(state[8])
if token ~= '' then
  return batch(records(tonumber(state[9]), entryClaimed), 1, tonumber(state[10]), tonumber(state[5]), tonumber(state[6]))
end

-- Counters: all of them by renaming, where they fit.
local popped, claimedUpdates = tonumber(state[6]), 0
local orderLength = redis.call('LLEN', base .. 'order')
local wholeCounters = orderLength <= tonumber(ARGV[2])
if orderLength > 0 and wholeCounters then
  redis.call('RENAME', base .. 'counters', base .. 'flight:counters')
  redis.call('RENAME', base .. 'order', base .. 'flight:order')
  popped = popped + orderLength
elseif orderLength > 0 then
  local left = tonumber(ARGV[2])
  while left > 0 do
    local order = redis.call('LPOP', base .. 'order', math.min(left, CHUNK))
    local items, moved = {}, {}
    for i, element in ipairs(order) do items[i] = string.sub(element, string.find(element, ' ', 1, true) + 1) end
    for i, value in ipairs(redis.call('HMGET', base .. 'counters', unpack(items))) do
      moved[2 * i - 1], moved[2 * i] = items[i], value
      claimedUpdates = claimedUpdates + string.sub(value, string.find(value, ' ', 1, true) + 1)
    end
    redis.call('HDEL', base .. 'counters', unpack(items))
    redis.call('HSET', base .. 'flight:counters', unpack(moved))
    redis.call('RPUSH', base .. 'flight:order', unpack(order))
    popped, left = popped + #items, left - #items
  end
end

-- Entries stay where they are; the range between acknowledged and claimed is what is in flight. Only the sums that
-- a cold read needs move, by renaming where everything is taken.
local entryNext = tonumber(state[7])
local stop = math.min(entryNext, entryClaimed + tonumber(ARGV[3]))
local entries = records(entryClaimed, stop)
local wholeEntries = stop == entryNext
if #entries > 0 and wholeEntries then
  redis.call('RENAME', base .. 'accounts', base .. 'flight:accounts')
elseif #entries > 0 then
  local taken, items = {}, {}
  for _, record in ipairs(entries) do
    local amount, length, from = string.match(record, '^%d+ %d+ (%S+) %S+ (%d+):()')
    local item = string.sub(record, from, from + length - 1)
    if not taken[item] then
      taken[item] = { 0, 0 }
      items[#items + 1] = item
    end
    taken[item][1], taken[item][2] = taken[item][1] + amount, taken[item][2] + 1
  end
  for from = 1, #items, CHUNK do
    local chunk = { unpack(items, from, math.min(#items, from + CHUNK - 1)) }
    local flight, rest, gone = {}, {}, {}
    for i, value in ipairs(redis.call('HMGET', base .. 'accounts', unpack(chunk))) do
      local item = chunk[i]
      local sum, count, last = string.match(value, '^(%S+) (%S+) (%S+)$')
      flight[#flight + 1] = item
      flight[#flight + 1] = int(taken[item][1]) .. ' ' .. taken[item][2] .. ' ' .. last
      if tonumber(count) == taken[item][2] then
        gone[#gone + 1] = item
      else
        rest[#rest + 1] = item
        rest[#rest + 1] = int(sum - taken[item][1]) .. ' ' .. (count - taken[item][2]) .. ' ' .. last
      end
    end
    redis.call('HSET', base .. 'flight:accounts', unpack(flight))
    if #rest > 0 then redis.call('HSET', base .. 'accounts', unpack(rest)) end
    if #gone > 0 then redis.call('HDEL', base .. 'accounts', unpack(gone)) end
  end
end

if orderLength == 0 and #entries == 0 then return false end

local updates, claimed = tonumber(state[4]), tonumber(state[5])
local total = (wholeCounters and wholeEntries) and updates - claimed or nil
if not total and wholeCounters then
  for i, value in ipairs(redis.call('HVALS', base .. 'flight:counters')) do
    claimedUpdates = claimedUpdates + tonumber(string.match(value, ' (%d+)$'))
  end
end
total = total or claimedUpdates + #entries

local oldest = redis.call('LINDEX', base .. 'flight:order', 0)
oldest = oldest and tonumber(string.match(oldest, '^(%d+)'))
if #entries > 0 then
  local first = tonumber(string.match(entries[1], '^(%d+)'))
  oldest = oldest and math.min(oldest, first) or first
end
sequence, token = sequence + 1, ARGV[1]
redis.call('HSET', KEYS[1], 'sequence', int(sequence), 'token', token, 'claimed', int(claimed + total),
  'popped', int(popped), 'entryClaimed', int(stop), 'flightUpdates', int(total), 'flightOldest', int(oldest))
return batch(entries, 0, total, claimed + total, popped)
