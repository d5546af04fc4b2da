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
-- ARGV     1 random part of a new token   2 most counter keys and 3 most entries of a batch   4 most of both in a page
--          5 mark of the first page, '' for that itself   6 counter keys and 7 entries on the pages before this one
--          8 for the last page: updates that those keys sum up   9 deployment   10 most bytes in a page; one item may have more
-- Reply    error FOREIGN where the state is another deployment's; nil where nothing is pending or there is no state; else
--          { 1 for the last page, 0 for the first, mark, counter keys and entries of the batch, counter keys, entries and bytes of
--            this page, which may end early, updates of its keys, 1 where more is pending than the segment has,
--            counters ['time item', ...] and ['sum count number', ...] as JSON,
--            entries { 'time previous amount balance length:item payload', ... },
--            and of the whole batch, where this is the last page: { sequence, token, epoch, updates, reclaimed 0|1, time of this server, updates
--            claimed so far with this batch, counter keys claimed so far with it, updates of those claimed that recoveries discarded } }
--          Where the mark is not that of the partition any more, the page is the first again.
--          JSON, because a client reads one long string in a third of the time that thousands of short ones take.

local base = string.sub(KEYS[1], 1, -6)
local TEXTS = 5
local FIELDS = { 'epoch', 'sequence', 'token', 'segment', 'deployment', 'claimed', 'pushed', 'popped', 'flightFrom', 'flightTo',
  'flightUpdates', 'entryNext', 'entryClaimed', 'entryAcked', 'segmentStart', 'segmentEnd', 'entrySegmentStart', 'entrySegmentEnd',
  'dropped' }
local state = {}
for i, value in ipairs(redis.call('HMGET', KEYS[1], unpack(FIELDS))) do
  state[FIELDS[i]] = i > TEXTS and tonumber(value) or value
end
if not state.epoch then return false end
if state.deployment ~= ARGV[9] then return redis.error_reply('FOREIGN the partition belongs to another deployment') end

redis.call('DEL', base .. 'armed')
redis.call('HINCRBY', KEYS[1], 'claims', 1)

local function int(number) return string.format('%.0f', number) end
local clock = redis.call('TIME')
-- With the time: a copy of this call that arrives once more, after its batch was acknowledged, must not name another so.
local token = ARGV[1] .. string.format('.%x', clock[1] * 1000000 + clock[2])
local inFlight = state.token ~= ''

-- A segment that is used up is not in flight either where nothing is.
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
  from, to = state.popped, math.max(state.popped, math.min(state.segmentEnd, state.popped + ARGV[2]))
  entryFrom, entryTo = state.entryClaimed, math.min(state.entrySegmentEnd, state.entryClaimed + ARGV[3])
  entryTo = math.max(entryFrom, entryTo)
  if from == to and entryFrom == entryTo then return false end
end

local mark = table.concat({ state.epoch, state.sequence, state.token, state.segment, int(from), int(entryFrom) }, ' ')
local goesOn = ARGV[5] == mark
local keysBefore = goesOn and tonumber(ARGV[6]) or 0
local entriesBefore = goesOn and tonumber(ARGV[7]) or 0
local updatesBefore = goesOn and tonumber(ARGV[8]) or 0

-- Of counters in their order, from a place of the segment on: the elements, and the items in them.
local function ordered(at, count)
  local elements, items = redis.call('LRANGE', base .. 'segment:order', int(at), int(at + count - 1)), {}
  for i, element in ipairs(elements) do items[i] = string.sub(element, string.find(element, ' ', 1, true) + 1) end
  return elements, items
end

local function json(list) return #list == 0 and '[]' or cjson.encode(list) end

local room, most = tonumber(ARGV[4]), tonumber(ARGV[10])
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

-- What is in front of the batch is in MySQL. Left to the end of a long segment, it would hold its memory while producers fill Redis.
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
  state.sequence, state.token = int(state.sequence + 1), token
  state.flightUpdates, state.flightTo = updatesBefore + updates + entryTo - entryFrom, to
  state.claimed = state.claimed + state.flightUpdates
  redis.call('HSET', KEYS[1], 'sequence', state.sequence, 'token', state.token, 'claimed', int(state.claimed),
    'popped', int(to), 'flightFrom', int(from), 'flightTo', int(to), 'entryClaimed', int(entryTo),
    'flightUpdates', int(state.flightUpdates), 'flightOldest', oldest == math.huge and 0 or int(oldest))
end

return {
  isLast and 1 or 0, goesOn and 1 or 0, mark, int(to - from), int(entryTo - entryFrom), #order, read, bytes, int(updates),
  (state.pushed > state.segmentEnd or state.entryNext > state.entrySegmentEnd) and 1 or 0, orderJson, sumsJson, entries,
  {
    state.sequence, state.token, state.epoch, int(state.flightUpdates), inFlight and 1 or 0,
    int(clock[1] * 1000 + math.floor(clock[2] / 1000)), int(state.claimed), int(state.flightTo),
    int(state.dropped or 0),
  },
}
