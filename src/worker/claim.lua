#!lua flags=allow-oom
-- Takes the oldest pending updates of a partition into a batch, or returns the batch that is in flight already. Takes as
-- many calls as the batch has pages, so that no call is long; the last one puts a new batch in flight.
--
-- What is pending becomes a segment by renaming, whatever its size, once the segment before it is used up. A batch is a range
-- of its counters, by the number that each got when it became pending, and of the entries. What is not acknowledged of a
-- segment never changes; what is, is taken out of it, a page with each page that is read.
-- Pages but the last change nothing that another page reads, and may be asked for at once.
-- Writes in every call, because the claim barrier needs something of this connection to wait for.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 deployment   2 random part of a new token
--          most of a batch: 3 counter keys   4 entries
--          most of a page: 5 of both   6 bytes; one item may have more
--          7 mark of the first page, '' for that itself
--          on the pages before this one: 8 counter keys   9 entries   10 for the last page: updates that those keys sum up
-- Reply    error FOREIGN if the state is another deployment's; nil if nothing is pending or there is no state; else
--          { 1 if it goes on behind the pages before; 0 for the first page, also if the mark is not the partition's any more,
--            mark, 1 if more is pending than the segment has,
--            { counter keys and entries of the batch },
--            { counter keys, entries and bytes of this page, which may end early, updates of its keys },
--            counters ['time item', ...] and ['sum count number', ...] as JSON,
--            entries { 'time previous amount balance length:item payload', ... },
--            of the whole batch, if this is its last page: { sequence, token, epoch, updates, reclaimed 0|1, time of this server,
--              updates claimed so far with this batch, counter keys claimed so far with it, updates of those claimed that
--              recoveries discarded } }
--          JSON, because a client reads one long string in a third of the time that thousands of short ones take.

--!include base
--!include now
--!include unique
--!include int
--!include foreign
local deployment, random, batchKeys, batchEntries = unpack(ARGV, 1, 4)
local room, most = tonumber(ARGV[5]), tonumber(ARGV[6])
local markSeen, keysSeen, entriesSeen, updatesSeen = unpack(ARGV, 7, 10)
--!read state
if state.epoch == '' then return false end
if state.deployment ~= deployment then return redis.error_reply(FOREIGN) end

redis.call('DEL', base .. 'armed')
redis.call('HINCRBY', KEYS[1], 'claims', 1)

-- A copy of this call that arrives once more, after its batch was acknowledged, must not name another so.
local token = unique(random)
local inFlight = state.token ~= ''

-- If nothing is in flight, a segment that is used up is not either.
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

-- Which counters and entries the batch is made of: [from, to).
local from, to, entryFrom, entryTo
if inFlight then
  from, to, entryFrom, entryTo = state.flightFrom, state.flightTo, state.entryAcked, state.entryClaimed
else
  from, to = state.popped, math.max(state.popped, math.min(state.segmentEnd, state.popped + batchKeys))
  entryFrom, entryTo = state.entryClaimed, math.min(state.entrySegmentEnd, state.entryClaimed + batchEntries)
  entryTo = math.max(entryFrom, entryTo)
  if from == to and entryFrom == entryTo then return false end
end

local mark = table.concat({ state.epoch, int(state.sequence), state.token, state.segment, int(from), int(entryFrom) }, ' ')
local goesOn = markSeen == mark
local keysBefore = goesOn and tonumber(keysSeen) or 0
local entriesBefore = goesOn and tonumber(entriesSeen) or 0
local updatesBefore = goesOn and tonumber(updatesSeen) or 0

-- Of counters in their order, from a place of the segment on: the elements, and the items in them.
local function ordered(at, count)
  local elements, items = redis.call('LRANGE', base .. 'segment:order', int(at), int(at + count - 1)), {}
  for i, element in ipairs(elements) do items[i] = string.sub(element, string.find(element, ' ', 1, true) + 1) end
  return elements, items
end

local function json(list) return #list == 0 and '[]' or cjson.encode(list) end

local order, sums, updates = {}, {}, 0
local keys = math.min(room, to - from - keysBefore)
if keys > 0 then
  local items
  order, items = ordered(from - state.segmentStart + keysBefore, keys)
  sums = redis.call('HMGET', base .. 'segment:counters', unpack(items))
end
local orderJson, sumsJson = json(order), json(sums)
local bytes = #orderJson + #sumsJson
-- Escapes make JSON longer than its items, so the text itself is measured.
while bytes > most and #order > 1 do
  local fit = math.max(1, math.floor(#order * 0.9 * most / bytes))
  for at = #order, fit + 1, -1 do order[at], sums[at] = nil, nil end
  orderJson, sumsJson = json(order), json(sums)
  bytes = #orderJson + #sumsJson
end
for _, value in ipairs(sums) do updates = updates + string.match(value, ' (%d+) ') end

-- Entries come behind the last counter. Read a few first: how long they are tells how many fit.
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
  local each = math.max(1, (bytes - #orderJson - #sumsJson) / read)
  fits = readEntries(math.max(1, math.min(wanted - read, math.floor((most - bytes) / each) + 1)))
end

-- What is in front of the batch is in MySQL. Left to the end of a long segment, it would hold its memory while producers
-- fill Redis.
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
  local oldest = math.min(
    acceptance(to > from and redis.call('LINDEX', base .. 'segment:order', int(from - state.segmentStart))),
    acceptance(entryTo > entryFrom and redis.call('HGET', base .. 'entries', int(entryFrom))))
  state.sequence, state.token = state.sequence + 1, token
  state.flightUpdates, state.flightTo = updatesBefore + updates + entryTo - entryFrom, to
  state.claimed = state.claimed + state.flightUpdates
  redis.call('HSET', KEYS[1], 'sequence', int(state.sequence), 'token', state.token, 'claimed', int(state.claimed),
    'popped', int(to), 'flightFrom', int(from), 'flightTo', int(to), 'entryClaimed', int(entryTo),
    'flightUpdates', int(state.flightUpdates), 'flightOldest', oldest == math.huge and 0 or int(oldest))
end

return {
  goesOn and 1 or 0, mark, (state.pushed > state.segmentEnd or state.entryNext > state.entrySegmentEnd) and 1 or 0,
  { to - from, entryTo - entryFrom }, { #order, read, bytes, updates }, orderJson, sumsJson, entries,
  {
    state.sequence, state.token, state.epoch, state.flightUpdates, inFlight and 1 or 0, now, state.claimed, state.flightTo,
    state.dropped,
  },
}
