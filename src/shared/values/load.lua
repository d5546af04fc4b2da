#!lua
-- Sets the live values of cold keys to what MySQL holds plus what Redis holds and MySQL does not; or (compare) says
-- what they should be; or (repair) also sets those that are live and wrong, which a SET from outside could not do
-- without losing an update. Exact because watermark and values were read by one MySQL statement and this is one script.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 'load', 'compare' or 'repair'   2 live TTL, ms   3 epoch   4 sequence and 5 token of the watermark
--          then three for each key: kind c|p, item, value in MySQL plus quarantined sum
-- Reply    { 'again' } the watermark moved, or an account has too much on its way to be added up here: read once more;
--          { 'again', 'doubtful' } compare and repair: an account is in doubt;
--          { 'epoch', epoch here } the epochs differ;
--          { 'behind' } Redis is behind the watermark; { 'ahead' } MySQL went back in time; { 'absent' } no state;
--          { 'ok', ... } then for each key: load: the live value, 'x' (out of range) or 'w' (in doubt: wait);
--          compare: 'live expected', live '-' if there is none, else '=' and its text;
--          repair: the same, as it was before; the key is gone if what it should be is out of range
--
-- In doubt is an account with entries on their way from before Redis was found behind the watermark. MySQL may have them, as
-- Redis forgot their claim; their flush tells. Counters add up: what comes once more is added once more, and declared.

--!include base
--!include int
--!include live-key
local mode, liveTtlMs, epoch, watermark, token = unpack(ARGV, 1, 5)
watermark = tonumber(watermark)
--!read state
if state.epoch == '' then return { 'absent' } end
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

-- Asked once, since most keys have nothing in most hashes.
local isThere = {}
local counters, accounts = base .. 'counters', base .. 'accounts'
local segmentCounters, segmentAccounts = base .. 'segment:counters', base .. 'segment:accounts'
for _, hash in ipairs({ counters, accounts, segmentCounters, segmentAccounts }) do
  isThere[hash] = redis.call('EXISTS', hash) == 1
end
-- A sum, and the number of the counter or of the account's newest entry.
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

-- The entries of a segment that MySQL does not have: all of them, none, or those that the account's chain leads to.
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

-- A counter's amendments stand among the accounts, behind a mark. Nil with the reason if that cannot be told now.
local function expectedOf(kind, item, value)
  local account = kind == 'p' and item or '!' .. item
  if isDoubtful(account) then return nil, 'doubtful' end
  local entries = entriesOf(account)
  if not entries then return nil, 'many' end
  return value + entries + (kind == 'p' and 0 or countersOf(item))
end
-- It may be as far out of range as a number can be.
local function sumText(number) return string.format('%.0f', number) end
local SAFE = 9007199254740991
local reply = { 'ok' }
for at = 6, #ARGV, 3 do
  local kind, item = ARGV[at], ARGV[at + 1]
  local key = liveKey(kind, epoch, item)
  local live = redis.call('GET', key)
  local expected, why = false, nil
  if mode ~= 'load' or not live then expected, why = expectedOf(kind, item, tonumber(ARGV[at + 2])) end
  if why and (why ~= 'doubtful' or mode ~= 'load') then return { 'again', why } end
  if mode ~= 'load' then
    if mode == 'repair' and live and live ~= sumText(expected) then
      if math.abs(expected) > SAFE then redis.call('DEL', key)
      else redis.call('SET', key, int(expected), 'PX', liveTtlMs) end
    end
    -- A stranger's value may be of any length, and is no number then.
    reply[#reply + 1] = (live and '=' .. string.sub(live, 1, 64) or '-') .. ' ' .. sumText(expected)
  elseif live then
    reply[#reply + 1] = live
  elseif why then
    reply[#reply + 1] = 'w'
  elseif math.abs(expected) > SAFE then
    reply[#reply + 1] = 'x'
  else
    redis.call('SET', key, int(expected), 'PX', liveTtlMs)
    reply[#reply + 1] = int(expected)
  end
end
return reply
