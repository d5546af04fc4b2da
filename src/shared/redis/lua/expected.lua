-- `expectedOf`: the right value of a key, from its value in the database plus quarantine. Needs `base`, `int`, `state`, `kept`,
-- and `withFlight` of `fitsWatermark`.
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
-- Whether the database lacks the counter with this number, of the segment.
local function isClaimedMissing(number)
  return number >= popped or (withFlight and number >= flightFrom and number < flightTo)
end
local function countersOf(item)
  local amount, number = sum(segmentCounters, item)
  if not isClaimedMissing(number) then amount = 0 end
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

-- A value's pending put, unless the database has it; false if there is none.
local function putOf(hash, item, isMissing)
  local text = isThere[hash] and redis.call('HGET', hash, item)
  if not text then return false end
  local put, number = string.match(text, '^(%S+) %S+ (%d+)')
  return (not isMissing or isMissing(tonumber(number))) and put
end

-- Amendments of counters are in the hash of accounts, after '!'. Returns nil and a reason if the value is not
-- known now.
local function expectedOf(kind, item, value)
  if isKept(kind) then
    local known = kept(kind, value, putOf(segmentCounters, kind .. item, isClaimedMissing))
    return kept(kind, known, putOf(counters, kind .. item)) or '~'
  end
  local account = kind == 'p' and item or '!' .. item
  if isDoubtful(account) then return nil, 'doubtful' end
  local entries = entriesOf(account)
  if not entries then return nil, 'many' end
  return value + entries + (kind == 'p' and 0 or countersOf(item))
end
