-- `expectedOf`: the right value of a key, from its value in the database plus quarantine. Needs `base`, `int`, `state`, `kept`,
-- and `withFlight` of `fitsWatermark`.
--!include balance
-- Checked once, since most hashes are absent.
local isThere = {}
local counters, accounts = base .. 'counters', base .. 'accounts'
local segmentCounters, segmentAccounts = base .. 'segment:counters', base .. 'segment:accounts'
for _, hash in ipairs({ counters, accounts, segmentCounters, segmentAccounts }) do
  isThere[hash] = redis.call('EXISTS', hash) == 1
end
-- Sum of a hash's field, and the number of the counter or of the account's newest entry; 0 and -1 if absent. Of an
-- account also the sum of what is held.
local function sum(hash, item)
  local value = isThere[hash] and redis.call('HGET', hash, item)
  if not value then return 0, -1, 0 end
  local text, number = string.match(value, '^(%S+) %S+ (%d+)')
  local amount, held = readBalance(text)
  return amount, tonumber(number), held
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
-- The doubt lasts until the acknowledgement: until then `ids` has the ends that a flush has left out.
local function isDoubtful(item)
  local acked = state.entryAcked
  if acked >= doubtful then return false end
  local _, newest = sum(segmentAccounts, item)
  if newest >= acked then return true end
  _, newest = sum(accounts, item)
  return newest >= 0 and segmentEnd < doubtful
end
-- Sums of the entries that the database lacks, and of what they hold; nil if there are too many.
local function entriesOf(item)
  local pending, _, held = sum(accounts, item)
  if missing >= segmentEnd then return pending, held end
  local amount, number, heldAmount = sum(segmentAccounts, item)
  if missing <= segmentStart then return pending + amount, held + heldAmount end
  local steps = 0
  while number >= missing do
    steps = steps + 1
    if steps > MOST_STEPS then return nil end
    local record = redis.call('HGET', base .. 'entries', int(number))
    -- Letter and time of a hold's entry follow its amounts.
    local previous, one, heldOne = string.match(record, '^%d+ (%d+) (%-?%d+)/?(%-?%d*)')
    pending, number = pending + one, tonumber(previous)
    if heldOne ~= '' then held = held + heldOne end
  end
  return pending, held
end

-- A value's pending put, unless the database has it; false if there is none.
local function putOf(hash, item, isMissing)
  local text = isThere[hash] and redis.call('HGET', hash, item)
  if not text then return false end
  local put, number = string.match(text, '^(%S+) %S+ (%d+)')
  return (not isMissing or isMissing(tonumber(number))) and put
end

-- The record of a hold: its row in the database, unless Redis has more of it. `ids` has exactly those holds and
-- ends that are not acknowledged.
local function recordOf(item, row)
  --!include id-name
  --!include hold-names
  local length, rest = string.match(item, '^(%d+):(.*)$')
  local account, id = string.sub(rest, 1, length), string.sub(rest, length + 1)
  if isDoubtful(account) then return nil, 'doubtful' end
  if row ~= '' and string.sub(row, 1, 1) ~= 'o' then return row end
  local function remembered(name)
    local answer = redis.call('HGET', base .. 'ids', name)
    return answer and string.match(answer, '^%S+')
  end
  local held = row ~= '' and row or remembered(heldName(account, id))
  return held and (remembered(endName(account, id)) or held) or 'n'
end

-- Amendments of counters are in the hash of accounts, after '!'. Returns nil and a reason if the value is not
-- known now. Of an account, `value` is a text, and what is held comes third. Kind `h` is the record of a hold.
local function expectedOf(kind, item, value)
  if kind == 'h' then return recordOf(item, value) end
  if isKept(kind) then
    local known = kept(kind, value ~= '' and value, putOf(segmentCounters, kind .. item, isClaimedMissing))
    return kept(kind, known, putOf(counters, kind .. item)) or '~'
  end
  local account = kind == 'p' and item or '!' .. item
  if isDoubtful(account) then return nil, 'doubtful' end
  local entries, held = entriesOf(account)
  if not entries then return nil, 'many' end
  if kind == 'c' then return tonumber(value) + entries + countersOf(item) end
  local balance, heldBefore = readBalance(value)
  -- After a loss, ends may be pending whose hold is nowhere.
  return balance + entries, nil, math.max(0, heldBefore + held)
end
