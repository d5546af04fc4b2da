#!lua flags=no-writes
-- What one key has in Redis, part by part, beside a watermark of the database. It changes nothing.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 epoch, 2 sequence, 3 token of the watermark   4 deployment   5 kind   6 item
-- Reply    { 'absent' } no state of this deployment and format; else
--          { whether the parts fit the watermark: 'ok', or why not: 'epoch', 'behind', 'ahead', 'doubtful' (the
--            database may have some of them), 'many' (too many entries to add up here),
--            live value '=text', '-' if the key is cold; where it is: 'young', 'old' or '';
--            time, time of the last rotation (0: none), ms;
--            parts in flight, parts pending: { 'amount updates', ... }, of an account 'amount/held updates' }

--!include base
--!include now
--!include int
--!include fits-watermark
--!include kept
local epoch, watermark, token, deployment, kind, item = unpack(ARGV, 1, 6)
watermark = tonumber(watermark)
--!read state
if state.epoch == '' or state.deployment ~= deployment then return { 'absent' } end
local unfit, withFlight = fitsWatermark(state, epoch, watermark, token)
local fit = unfit and (unfit[1] == 'epoch' and 'epoch' or unfit[2]) or 'ok'
if unfit then withFlight = state.token ~= '' end
--!include expected

local flight, pending = {}, {}
-- A pending counter or put, which has a number if it is of the segment.
local function add(hash, field, isSegment)
  local text = redis.call('HGET', hash, field)
  if not text then return end
  local amount, updates, number = string.match(text, '^(%S+) (%S+) (%d+)')
  number = tonumber(number)
  if not isSegment or number >= popped then
    pending[#pending + 1] = amount .. ' ' .. updates
  elseif withFlight and number >= flightFrom and number < flightTo then
    flight[#flight + 1] = amount .. ' ' .. updates
  end
end

-- Entries and amendments of an account, or of a counter after '!'. Those of the segment are one sum unless a part of
-- them is in flight or in the database: then the chain of entries tells which.
local function addEntries(account)
  if isDoubtful(account) and fit == 'ok' then fit = 'doubtful' end
  add(base .. 'accounts', account, false)
  if missing >= segmentEnd then return end
  local text = redis.call('HGET', base .. 'segment:accounts', account)
  if not text then return end
  local amount, updates, number = string.match(text, '^(%S+) (%S+) (%d+)')
  local claimed = state.entryClaimed
  if missing <= segmentStart and (claimed <= segmentStart or claimed >= segmentEnd) then
    local list = claimed <= segmentStart and pending or flight
    list[#list + 1] = amount .. ' ' .. updates
    return
  end
  number = tonumber(number)
  local steps = 0
  while number >= missing do
    steps = steps + 1
    local record = redis.call('HGET', base .. 'entries', int(number))
    if steps > MOST_STEPS or not record then
      if fit == 'ok' then fit = 'many' end
      return
    end
    local previous, one = string.match(record, '^%d+ (%d+) (%-?%d+/?%-?%d*)')
    local list = number >= claimed and pending or flight
    list[#list + 1] = one .. ' 1'
    number = tonumber(previous)
  end
end

if isKept(kind) then
  add(base .. 'segment:counters', kind .. item, true)
  add(base .. 'counters', kind .. item, false)
elseif kind == 'c' then
  add(base .. 'segment:counters', item, true)
  add(base .. 'counters', item, false)
  addEntries('!' .. item)
else
  addEntries(item)
end
local field, where = kind .. item, 'young'
local live = redis.call('HGET', base .. 'live:young', field)
if not live then
  where = 'old'
  live = redis.call('HGET', base .. 'live:old', field)
end
-- A live value that another program wrote may have any length.
local shown = live and '=' .. string.sub(live, 1, 64) or '-'
return { fit, shown, live and where or '', now, state.rotated, flight, pending }
