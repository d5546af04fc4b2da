#!lua
-- Accepts entries that workers make: credits of transfers, and the ends of holds that are past their time. The
-- caller read their rows in MySQL together with the watermark of this partition. If the watermark does not fit the state of Redis, credits may have been
-- written and forgotten since, so nothing is accepted: a late call can never credit once more.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 epoch, 2 sequence, 3 token of the watermark   4 deployment   5 wake-up lease, ms
--          limits of the partition: 6 entries not in the database   7 age of the oldest update, ms; 0 for none
--          8 1 if the server's memory is over its limit   9 a random text
--          10 the entries as JSON, six values for each: item 'program:account', id, amount, payload, 0, 0. To
--             expire a hold, its end's id, what it holds, below 0, and the time of its end
-- Reply    { 'absent' } no state of this deployment and format
--          { 'epoch', epoch here }, { 'again', 'behind' } or { 'again', 'ahead' }: see load.lua
--          { 'ok', 1 if the caller has to wake a worker, then a token for each credit }:
--            a accepted   d pending or in flight already
--            w not expired yet
--            be ba bm over the limit of entries, age or memory   x its pending sum would be out of range
--
-- They need no live value. If the live value would be out of range, it is deleted: MySQL decides.

--!include base
--!include now
--!include int
--!include id-name
--!include fits-watermark
--!include live
--!include meet
local epoch, watermark, token, deployment, leaseMs, entriesLimit, ageLimitMs, isMemoryOver, random = unpack(ARGV, 1, 9)
watermark, leaseMs, ageLimitMs = tonumber(watermark), tonumber(leaseMs), tonumber(ageLimitMs)
--!include age
--!include store-sums
--!read state
if state.epoch == '' or state.deployment ~= deployment then return { 'absent' } end
local unfit = fitsWatermark(state, epoch, watermark, token)
if unfit then return unfit end
--!include boards
--!include add-to-board
local boards = boardsOf(state.boards, epoch)

local SAFE, EACH = 9007199254740991, 6
local credits = cjson.decode(ARGV[10])
local names, items, fields, places = {}, {}, {}, {}
for at = 1, #credits, EACH do
  local item = credits[at]
  names[#names + 1] = idName('p', item, credits[at + 1])
  if not places[item] then
    items[#items + 1], fields[#fields + 1] = item, 'p' .. item
    places[item] = #items
  end
end
local known = redis.call('HMGET', base .. 'ids', unpack(names))
local pending = redis.call('HMGET', base .. 'accounts', unpack(items))
local live, isOld = findLive(fields)
--!include balance
--!include hold-names
local sums, counts, last, heldSums, held = {}, {}, {}, {}, {}
for place = 1, #items do
  sums[place], heldSums[place], counts[place] = 0, 0, 0
  if pending[place] then
    local text
    text, counts[place], last[place] = string.match(pending[place], '^(%S+) (%d+) (%d+)')
    sums[place], heldSums[place] = readBalance(text)
  end
  if live[place] then live[place], held[place] = readBalance(live[place]) end
end

local closed = isMemoryOver == '1' and 'm' or isTooOld(state) and 'a'
local room, entryNext = entriesLimit - (state.entryNext - state.entryAcked), state.entryNext
local reply, records, ids, entryIds, changed, gone, young, old = { 'ok', 0 }, {}, {}, {}, {}, {}, {}, {}
-- The record of an expired hold, if it is live.
local function expireRecord(item, id, record)
  local field = holdField(item, string.sub(id, 3))
  if redis.call('HEXISTS', base .. 'live:old', field) == 1 then old[#old + 1] = field
  elseif redis.call('HEXISTS', base .. 'live:young', field) == 0 then return end
  young[#young + 1], young[#young + 2] = field, record
end
for place, name in ipairs(names) do
  local at = (place - 1) * EACH
  local item, id, amount, payload, heldOne, expires = unpack(credits, at + 1, at + EACH)
  local account, isHold = places[item], heldOne ~= 0
  local sum, result = sums[account] + amount, 'a'
  if known[place] then result = 'd'
  elseif isHold and expires > now then result = 'w'
  elseif closed or room <= 0 then result = 'b' .. (closed or 'e')
  elseif sum > SAFE then result = 'x'
  else
    local balance = '-'
    if live[account] then
      local value = live[account] + amount
      if value > SAFE then gone[#gone + 1], live[account] = fields[account], false
      else
        live[account], held[account] = value, held[account] + heldOne
        balance = balanceText(value, held[account])
      end
    end
    if not last[account] then
      -- As in apply.lua: the chain of the account's entries continues in the segment.
      local older = redis.call('HGET', base .. 'segment:accounts', item)
      last[account] = older and string.match(older, ' (%S+)$') or '0'
    end
    records[#records + 1] = int(entryNext)
    local record = 'e' .. int(-heldOne) .. '/0'
    local amounts = isHold and '0/' .. int(heldOne) .. 'e' or int(amount)
    records[#records + 1] = string.format('%d %s %s %s %d:', now, last[account], amounts, balance, #item) .. item .. payload
    ids[#ids + 1], ids[#ids + 2] = name, (isHold and record or '-') .. ' ' .. balance
    -- `trim` counts the elements, and must not forget these ids: the same entry may be sent again later.
    entryIds[#entryIds + 1] = ''
    if isHold then expireRecord(item, id, record) end
    heldSums[account] = heldSums[account] + heldOne
    sums[account], counts[account], last[account] = sum, counts[account] + 1, int(entryNext)
    changed[account] = (changed[account] or 0) + amount
    entryNext, room = entryNext + 1, room - 1
  end
  reply[#reply + 1] = result
end
if #entryIds == 0 then return reply end

local written = {}
for account, item in ipairs(items) do
  if changed[account] then
    written[#written + 1] = item
    written[#written + 1] = string.format('%s %d %s', balanceText(sums[account], heldSums[account]), counts[account], last[account])
    if live[account] then
      young[#young + 1], young[#young + 2] = fields[account], balanceText(live[account], held[account])
      if isOld and isOld[account] then old[#old + 1] = fields[account] end
    end
    addToBoard(boards, 'p', item, changed[account])
  end
end
local accepted = #entryIds
local incarnation, _, met = meet(KEYS[1], state, random, '0', '', 0)
if met then redis.call('HSET', KEYS[1], 'run', met.run, 'incarnation', incarnation, 'ended', met.ended) end
storeSums(base .. 'accounts', written)
if #young > 0 then redis.call('HSET', base .. 'live:young', unpack(young)) end
if #old > 0 then redis.call('HDEL', base .. 'live:old', unpack(old)) end
if #gone > 0 then
  redis.call('HDEL', base .. 'live:young', unpack(gone))
  redis.call('HDEL', base .. 'live:old', unpack(gone))
end
redis.call('HSET', base .. 'entries', unpack(records))
redis.call('HSET', base .. 'ids', unpack(ids))
redis.call('RPUSH', base .. 'entryIds', unpack(entryIds))
redis.call('HSET', KEYS[1], 'updates', int(state.updates + accepted), 'entryNext', int(entryNext))
if state.armedUntil <= now or state.armedUntil > now + leaseMs then
  reply[2] = 1
  redis.call('HSET', KEYS[1], 'armedUntil', int(now + leaseMs))
end
if state.pendingSince == 0 then redis.call('HSET', KEYS[1], 'pendingSince', int(now)) end
return reply
