#!lua flags=allow-oom
-- Returns the oldest pending updates of a partition as a batch, or the batch that is in flight already. One
-- call returns one page, so that no call is long; the call of the last page puts a new batch in flight.
--
-- Once a segment is used up, all pending updates become the next one, by a rename. A batch is a range of the
-- segment's counters, by the number that each got when it became pending, and a range of entries. The part of
-- a segment that is not acknowledged never changes. Each call removes a page of the acknowledged part. Calls
-- before the last one change nothing that other calls read, so they may run at once. Each call writes, since
-- the claim barrier needs a write of this connection to wait for.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 deployment   2 random part of a new token
--          most of a batch: 3 counter keys   4 entries
--          most of a page: 5 of both   6 bytes; one item may have more
--          7 cursor from the first page; '' asks for the first page
--          on the pages before: 8 counter keys   9 entries   10 for the last page: updates of those keys
-- Reply    error FOREIGN if the state is another deployment's; nil without a state or pending updates; else
--          { 1 for a later page; 0 for the first one, also if the cursor is no longer valid,
--            cursor, 1 if updates are pending beyond the segment,
--            { counter keys and entries of the batch },
--            { counter keys, entries and bytes of this page, which may end early },
--            counters: ['time item', ...] as JSON, and a line 'sum count number' for each,
--            entries { 'time previous amount balance length:item payload', ... },
--            of the whole batch, valid on its last page:
--            { sequence, token, epoch, updates, reclaimed 0|1, time of this server,
--              totals with this batch: updates, counter keys, updates that recoveries discarded } }
--          A client reads one long string in a third of the time of thousands of short ones. An item may contain
--          any character, so only sums can be lines, which cost less than JSON.

--!include base
--!include now
--!include unique
--!include int
--!include foreign
local deployment, random, batchKeys, batchEntries = unpack(ARGV, 1, 4)
local room, most = tonumber(ARGV[5]), tonumber(ARGV[6])
local cursorSeen, keysSeen, entriesSeen, updatesSeen = unpack(ARGV, 7, 10)
--!read state
if state.epoch == '' then return false end
if state.deployment ~= deployment then return redis.error_reply(FOREIGN) end

redis.call('HSET', KEYS[1], 'armedUntil', 0, 'claims', int(state.claims + 1))

-- If a copy of this call arrives after its batch was acknowledged, the next batch must get another token.
local token = unique(random)
local inFlight = state.token ~= ''

-- If no batch is in flight, a used-up segment can be replaced.
if not inFlight then
  local renamed
  if state.popped >= state.segmentEnd and state.pushed > state.popped then
    redis.call('UNLINK', base .. 'segment:counters', base .. 'segment:order')
    redis.call('RENAME', base .. 'counters', base .. 'segment:counters')
    redis.call('RENAME', base .. 'order', base .. 'segment:order')
    state.segmentStart, state.segmentEnd, renamed = state.popped, state.pushed, true
  end
  if state.entryClaimed >= state.entrySegmentEnd and state.entryNext > state.entryClaimed then
    redis.call('UNLINK', base .. 'segment:accounts')
    redis.call('RENAME', base .. 'accounts', base .. 'segment:accounts')
    state.entrySegmentStart, state.entrySegmentEnd, renamed = state.entryClaimed, state.entryNext, true
  end
  if renamed then
    state.segment = token
    redis.call('HSET', KEYS[1], 'segment', token,
      'segmentStart', int(state.segmentStart), 'segmentEnd', int(state.segmentEnd),
      'entrySegmentStart', int(state.entrySegmentStart), 'entrySegmentEnd', int(state.entrySegmentEnd))
  end
end

-- The batch's ranges of counters and entries: [from, to).
local from, to, entryFrom, entryTo
if inFlight then
  from, to, entryFrom, entryTo = state.flightFrom, state.flightTo, state.entryAcked, state.entryClaimed
else
  from, to = state.popped, math.max(state.popped, math.min(state.segmentEnd, state.popped + batchKeys))
  entryFrom, entryTo = state.entryClaimed, math.min(state.entrySegmentEnd, state.entryClaimed + batchEntries)
  entryTo = math.max(entryFrom, entryTo)
  if from == to and entryFrom == entryTo then return false end
end

local cursor = table.concat({ state.epoch, int(state.sequence), state.token, state.segment, int(from), int(entryFrom) }, ' ')
local continues = cursorSeen == cursor
local keysBefore = continues and tonumber(keysSeen) or 0
local entriesBefore = continues and tonumber(entriesSeen) or 0
local updatesBefore = continues and tonumber(updatesSeen) or 0

-- The elements of the segment's order from a position on, and their items.
local function ordered(at, count)
  local elements, items = redis.call('LRANGE', base .. 'segment:order', int(at), int(at + count - 1)), {}
  for i, element in ipairs(elements) do items[i] = string.sub(element, string.find(element, ' ', 1, true) + 1) end
  return elements, items
end

local function json(list) return #list == 0 and '[]' or cjson.encode(list) end

local order, sums = {}, {}
local keys = math.min(room, to - from - keysBefore)
if keys > 0 then
  local items
  order, items = ordered(from - state.segmentStart + keysBefore, keys)
  sums = redis.call('HMGET', base .. 'segment:counters', unpack(items))
end
local orderJson, sumLines = json(order), table.concat(sums, '\n')
local bytes = #orderJson + #sumLines
-- Escapes make JSON longer than its items, so the text itself is measured.
while bytes > most and #order > 1 do
  local fit = math.max(1, math.floor(#order * 0.9 * most / bytes))
  for at = #order, fit + 1, -1 do order[at], sums[at] = nil, nil end
  orderJson, sumLines = json(order), table.concat(sums, '\n')
  bytes = #orderJson + #sumLines
end

-- Entries come after the last counter. The length of the first few tells how many fit.
local FEW = 32
local entries, read, firstEntry = {}, 0, entryFrom + entriesBefore
local wanted = keysBefore + #order < to - from and 0 or math.max(0, math.min(entryTo - firstEntry, room - #order))
local function readEntries(count)
  local names = {}
  for number = firstEntry + read, firstEntry + read + count - 1 do names[#names + 1] = int(number) end
  for _, record in ipairs(redis.call('HMGET', base .. 'entries', unpack(names))) do
    if record then
      if bytes + #record > most and #order + read > 0 then return false end
      bytes = bytes + #record
      entries[#entries + 1] = record
    end
    read = read + 1
  end
  return true
end
local fits = wanted == 0 or readEntries(math.min(FEW, wanted))
while fits and read < wanted do
  local each = math.max(1, (bytes - #orderJson - #sumLines) / read)
  fits = readEntries(math.max(1, math.min(wanted - read, math.floor((most - bytes) / each) + 1)))
end

-- The part before the batch is in MySQL. A long segment would keep its memory while producers fill Redis.
local gone = math.min(room, from - state.segmentStart)
if gone > 0 and from < state.segmentEnd then
  local _, items = ordered(0, gone)
  redis.call('HDEL', base .. 'segment:counters', unpack(items))
  redis.call('LTRIM', base .. 'segment:order', int(gone), -1)
  state.segmentStart = state.segmentStart + gone
  redis.call('HSET', KEYS[1], 'segmentStart', int(state.segmentStart))
end

local isLast = from + keysBefore + #order == to and firstEntry + read == entryTo

if isLast and not inFlight then
  local function acceptance(element) return element and tonumber(string.match(element, '^(%d+)')) or math.huge end
  local function time(number) return number == math.huge and 0 or int(number) end
  local oldest = math.min(
    acceptance(to > from and redis.call('LINDEX', base .. 'segment:order', int(from - state.segmentStart))),
    acceptance(entryTo > entryFrom and redis.call('HGET', base .. 'entries', int(entryFrom))))
  local counter = to < state.segmentEnd and redis.call('LINDEX', base .. 'segment:order', int(to - state.segmentStart))
    or redis.call('LINDEX', base .. 'order', 0)
  local since = math.min(acceptance(counter), acceptance(redis.call('HGET', base .. 'entries', int(entryTo))))
  local updates = updatesBefore + entryTo - entryFrom
  for _, value in ipairs(sums) do updates = updates + string.match(value, ' (%d+) ') end
  state.sequence, state.token = state.sequence + 1, token
  state.flightUpdates, state.flightTo = updates, to
  state.claimed = state.claimed + state.flightUpdates
  redis.call('HSET', KEYS[1], 'sequence', int(state.sequence), 'token', state.token, 'claimed', int(state.claimed),
    'popped', int(to), 'flightFrom', int(from), 'flightTo', int(to), 'entryClaimed', int(entryTo),
    'flightUpdates', int(state.flightUpdates), 'flightOldest', time(oldest), 'pendingSince', time(since))
end

return {
  continues and 1 or 0, cursor, (state.pushed > state.segmentEnd or state.entryNext > state.entrySegmentEnd) and 1 or 0,
  { to - from, entryTo - entryFrom }, { #order, read, bytes }, orderJson, sumLines, entries,
  {
    state.sequence, state.token, state.epoch, state.flightUpdates, inFlight and 1 or 0, now, state.claimed, state.flightTo,
    state.dropped,
  },
}
