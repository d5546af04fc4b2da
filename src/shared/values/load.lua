#!lua
-- load: sets the live values of cold keys to the value in MySQL plus the updates that only Redis has.
-- compare: returns the right values.
-- repair: also corrects wrong live values. A SET from outside could lose an update.
-- The values are exact, since one MySQL statement read watermark and values, and this is one script.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 'load', 'compare' or 'repair'   2 epoch, 3 sequence, 4 token of the watermark   5 deployment
--          then three for each key: kind c|p, item, value in MySQL plus quarantined sum
-- Reply    { 'absent' } no state of this deployment and format
--          { 'epoch', epoch here } the epochs differ
--          { 'again', 'behind' } Redis is behind the watermark, or the watermark moved since it was read
--          { 'again', 'ahead' } the watermark moved, or MySQL went back in time
--          { 'again', 'many' } compare, repair: an account has too many entries in the segment to add up here
--          { 'again', 'doubtful' } compare, repair: an account is in doubt
--          { 'ok', ... } then for each key: load: the live value, 'x' (out of range) or 'w' (in doubt: wait);
--          compare: 'live expected', live '-' if there is none, else '=' and its text;
--          repair: the same, from before; a live value is deleted if the right value is out of range
--
-- An account is in doubt if it has unacknowledged entries from before Redis was found behind the watermark.
-- MySQL may have them, since Redis forgot their claim; their flush decides. Counters need no doubt: their
-- pending sums are added again in any case, and declared as doubled.

--!include base
--!include int
--!include young
local mode, epoch, watermark, token, deployment = unpack(ARGV, 1, 5)
watermark = tonumber(watermark)
--!read state
if state.epoch == '' or state.deployment ~= deployment then return { 'absent' } end
if state.epoch ~= epoch then return { 'epoch', state.epoch } end

local withFlight
if state.token == '' then
  if state.sequence < watermark then return { 'again', 'behind' } end
  if state.sequence > watermark then return { 'again', 'ahead' } end
elseif state.sequence == watermark + 1 then
  withFlight = true
elseif state.sequence ~= watermark or state.token ~= token then
  return { 'again', state.sequence > watermark and 'ahead' or 'behind' }
end

-- Checked once, since most hashes are absent.
local isThere = {}
local counters, accounts = base .. 'counters', base .. 'accounts'
local segmentCounters, segmentAccounts = base .. 'segment:counters', base .. 'segment:accounts'
for _, hash in ipairs({ counters, accounts, segmentCounters, segmentAccounts }) do
  isThere[hash] = redis.call('EXISTS', hash) == 1
end
-- Sum of a hash's field, and the number of the counter or of the account's newest entry; 0 and -1 if absent.
local function sum(hash, item)
  local value = isThere[hash] and redis.call('HGET', hash, item)
  if not value then return 0, -1 end
  local amount, number = string.match(value, '^(%S+) %S+ (%d+)')
  return tonumber(amount), tonumber(number)
end

isThere[segmentCounters] = isThere[segmentCounters] and (withFlight or state.popped < state.segmentEnd)
local popped, flightFrom, flightTo = state.popped, state.flightFrom, state.flightTo
local function countersOf(item)
  local amount, number = sum(segmentCounters, item)
  if not (number >= popped or (withFlight and number >= flightFrom and number < flightTo)) then amount = 0 end
  return amount + sum(counters, item)
end

-- `missing` is the first entry that MySQL does not have. If it is inside the segment, the account's chain of
-- entries is followed back to it.
local missing = withFlight and state.entryAcked or state.entryClaimed
local MOST_STEPS = 2000
local segmentStart, segmentEnd, doubtful = state.entrySegmentStart, state.entrySegmentEnd, state.doubtful
local function isDoubtful(item)
  if missing >= doubtful then return false end
  local _, newest = sum(segmentAccounts, item)
  if newest >= missing then return true end
  _, newest = sum(accounts, item)
  return newest >= 0 and segmentEnd < doubtful
end
local function entriesOf(item)
  local pending = sum(accounts, item)
  if missing >= segmentEnd then return pending end
  local amount, number = sum(segmentAccounts, item)
  if missing <= segmentStart then return pending + amount end
  local steps = 0
  while number >= missing do
    steps = steps + 1
    if steps > MOST_STEPS then return nil end
    local record = redis.call('HGET', base .. 'entries', int(number))
    local previous, one = string.match(record, '^%d+ (%d+) (%S+)')
    pending, number = pending + one, tonumber(previous)
  end
  return pending
end

-- Amendments of counters are in the hash of accounts, after '!'. Returns nil and a reason if the value is not
-- known now.
local function expectedOf(kind, item, value)
  local account = kind == 'p' and item or '!' .. item
  if isDoubtful(account) then return nil, 'doubtful' end
  local entries = entriesOf(account)
  if not entries then return nil, 'many' end
  return value + entries + (kind == 'p' and 0 or countersOf(item))
end
-- The number may be far out of range.
local function sumText(number) return string.format('%.0f', number) end
local SAFE = 9007199254740991
local young, old = base .. 'live:young', base .. 'live:old'
if mode == 'load' and redis.call('EXISTS', young) == 0 then beginYoung() end
local reply = { 'ok' }
for at = 6, #ARGV, 3 do
  local kind, item = ARGV[at], ARGV[at + 1]
  local field = kind .. item
  local live = redis.call('HGET', young, field) or redis.call('HGET', old, field)
  local expected, why = false, nil
  if mode ~= 'load' or not live then expected, why = expectedOf(kind, item, tonumber(ARGV[at + 2])) end
  if why and (why ~= 'doubtful' or mode ~= 'load') then return { 'again', why } end
  if mode ~= 'load' then
    if mode == 'repair' and live and live ~= sumText(expected) then
      redis.call('HDEL', old, field)
      if math.abs(expected) > SAFE then redis.call('HDEL', young, field)
      else redis.call('HSET', young, field, int(expected)) end
    end
    -- A live value that another program wrote may have any length.
    reply[#reply + 1] = (live and '=' .. string.sub(live, 1, 64) or '-') .. ' ' .. sumText(expected)
  elseif live then
    reply[#reply + 1] = live
  elseif why then
    reply[#reply + 1] = 'w'
  elseif math.abs(expected) > SAFE then
    reply[#reply + 1] = 'x'
  else
    redis.call('HSET', young, field, int(expected))
    reply[#reply + 1] = int(expected)
  end
end
return reply
