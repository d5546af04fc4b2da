#!lua
-- Accepts credits of transfers as entries of their accounts. The caller read their rows in MySQL together with
-- the watermark of this partition. If the watermark does not fit the state of Redis, credits may have been
-- written and forgotten since, so nothing is accepted: a late call can never credit once more.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 epoch, 2 sequence, 3 token of the watermark   4 deployment   5 wake-up lease, ms
--          limits of the partition: 6 entries not in the database   7 age of the oldest update, ms; 0 for none
--          8 1 if the server's memory is over its limit   9 a random text
--          10 the credits as JSON, four values for each: item 'program:account', id, amount, payload
-- Reply    { 'absent' } no state of this deployment and format
--          { 'epoch', epoch here }, { 'again', 'behind' } or { 'again', 'ahead' }: see load.lua
--          { 'ok', 1 if the caller has to wake a worker, then a token for each credit }:
--            a accepted   d pending or in flight already
--            be ba bm over the limit of entries, age or memory   x its pending sum would be out of range
--
-- A credit needs no live value. If the live value would be out of range, it is deleted: MySQL decides.

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

local SAFE, EACH = 9007199254740991, 4
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
local sums, counts, last = {}, {}, {}
for place = 1, #items do
  sums[place], counts[place] = 0, 0
  if pending[place] then sums[place], counts[place], last[place] = string.match(pending[place], '^(%S+) (%d+) (%d+)') end
end

local closed = isMemoryOver == '1' and 'm' or isTooOld(state) and 'a'
local room, entryNext = entriesLimit - (state.entryNext - state.entryAcked), state.entryNext
local reply, records, ids, entryIds, changed, gone = { 'ok', 0 }, {}, {}, {}, {}, {}
for place, name in ipairs(names) do
  local at = (place - 1) * EACH
  local item, amount, payload = credits[at + 1], credits[at + 3], credits[at + 4]
  local account = places[item]
  local sum, result = sums[account] + amount, 'a'
  if known[place] then result = 'd'
  elseif closed or room <= 0 then result = 'b' .. (closed or 'e')
  elseif sum > SAFE then result = 'x'
  else
    local balance = '-'
    if live[account] then
      local value = live[account] + amount
      if value > SAFE then gone[#gone + 1], live[account] = fields[account], false
      else
        balance = int(value)
        live[account] = balance
      end
    end
    if not last[account] then
      -- As in apply.lua: the chain of the account's entries continues in the segment.
      local older = redis.call('HGET', base .. 'segment:accounts', item)
      last[account] = older and string.match(older, ' (%S+)$') or '0'
    end
    records[#records + 1] = int(entryNext)
    records[#records + 1] = string.format('%d %s %d %s %d:', now, last[account], amount, balance, #item) .. item .. payload
    ids[#ids + 1], ids[#ids + 2] = name, '- ' .. balance
    -- `trim` counts the elements, and must not forget this id: the same credit may be sent again later.
    entryIds[#entryIds + 1] = ''
    sums[account], counts[account], last[account] = sum, counts[account] + 1, int(entryNext)
    changed[account] = (changed[account] or 0) + amount
    entryNext, room = entryNext + 1, room - 1
  end
  reply[#reply + 1] = result
end
if #entryIds == 0 then return reply end

local written, young, old = {}, {}, {}
for account, item in ipairs(items) do
  if changed[account] then
    written[#written + 1] = item
    written[#written + 1] = string.format('%d %d %s', sums[account], counts[account], last[account])
    if live[account] then
      young[#young + 1], young[#young + 2] = fields[account], live[account]
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
