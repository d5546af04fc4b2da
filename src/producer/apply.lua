#!lua
-- Accepts a micro-batch of updates of one partition: checks all of them in order, then writes.
--
-- KEYS[1]  {namespace:partition}:state; every other key of the partition is derived from it
-- ARGV     1 request id   2 deadline, ms of this server's clock   3 wake-up lease, ms
--          4 live TTL, ms   5 idempotency window, ms   6 most counter ids remembered
--          then six for each update: kind, item, amount, detail, id, payload
--            c  counter   item 'name:key'         detail = how many updates the amount sums up,
--                         id and payload '' where there is none
--            p  points    item 'program:account'  detail = floor, id always, payload = the entry as JSON
-- Reply    one string: 'STATUS time' where nothing was tried (late, absent), else
--          'ok time epoch armed pushed entries quarantined sequence' and a token for each update:
--            123 or - (cold counter)   new live value
--            d123 or d-                duplicate, with the first result
--            r reused id   x out of range   f123 below the floor, with the balance   n account not loaded
--
-- A script is not rolled back when it fails half-way: nothing is written before the last check.

local SAFE = 9007199254740991
local base = string.sub(KEYS[1], 1, -6)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local requestKey = base .. 'request:' .. ARGV[1]
local remembered = redis.call('GET', requestKey)
if remembered then return remembered end
local deadline = tonumber(ARGV[2])
if now > deadline then return string.format('late %.0f', now) end

local state = redis.call('HMGET', KEYS[1], 'epoch', 'updates', 'pushed', 'entryNext', 'quarantined', 'sequence')
local epoch = state[1]
if not epoch then return string.format('absent %.0f', now) end

local function int(number) return string.format('%.0f', number) end
local function liveKey(kind, item) return base .. kind .. ':' .. epoch .. ':' .. item end

-- What is known of each distinct item and id, read in as few calls as there are kinds of it.
local items, names, liveKeys = { c = {}, p = {} }, { c = {}, p = {} }, {}
local ids, idNames = {}, {}
for at = 7, #ARGV, 6 do
  local kind, item, id = ARGV[at], ARGV[at + 1], ARGV[at + 4]
  if not items[kind][item] then
    local entry = { kind = kind, item = item }
    items[kind][item] = entry
    names[kind][#names[kind] + 1] = item
    liveKeys[#liveKeys + 1] = liveKey(kind, item)
    entry.liveAt = #liveKeys
  end
  if id ~= '' then
    local name = kind .. #item .. ':' .. item .. id
    if ids[name] == nil then
      ids[name] = false
      idNames[#idNames + 1] = name
    end
  end
end
local live = redis.call('MGET', unpack(liveKeys))
for kind, hash in pairs({ c = 'counters', p = 'accounts' }) do
  if #names[kind] > 0 then
    local pending = redis.call('HMGET', base .. hash, unpack(names[kind]))
    for i, item in ipairs(names[kind]) do
      local entry = items[kind][item]
      entry.live = live[entry.liveAt] and tonumber(live[entry.liveAt]) or nil
      if pending[i] then
        local sum, count, last = string.match(pending[i], '^(%S+) (%S+) ?(%S*)$')
        entry.sum, entry.count, entry.last = tonumber(sum), tonumber(count), last
      else
        entry.sum, entry.count, entry.fresh = 0, 0, true
      end
    end
  end
end
if #idNames > 0 then
  local known = redis.call('HMGET', base .. 'ids', unpack(idNames))
  for i, name in ipairs(idNames) do ids[name] = known[i] end
end

-- Decide each update against the running state.
local replies, accepted = {}, 0
local newIds, counterIds, entryIds = {}, {}, {}
local records, entryNext = {}, tonumber(state[4])
for at = 7, #ARGV, 6 do
  local kind, item, id = ARGV[at], ARGV[at + 1], ARGV[at + 4]
  local entry, amount = items[kind][item], tonumber(ARGV[at + 2])
  local idName = id ~= '' and (kind .. #item .. ':' .. item .. id) or nil
  local reply
  local content = idName and (kind == 'c' and int(amount) or string.sub(redis.sha1hex(ARGV[at + 5]), 1, 20))
  if idName and ids[idName] then
    local known, first = string.match(ids[idName], '^(%S+) (%S+)$')
    reply = known == content and 'd' .. first or 'r'
  else
    local sum = entry.sum + amount
    local value = entry.live and entry.live + amount
    if kind == 'p' and not value then
      reply = 'n'
    elseif kind == 'p' and amount < 0 and value < tonumber(ARGV[at + 3]) then
      reply = 'f' .. int(entry.live)
    elseif math.abs(sum) > SAFE or (value and math.abs(value) > SAFE) then
      reply = 'x'
    else
      reply = value and int(value) or '-'
      entry.sum, entry.live, entry.changed = sum, value, true
      if kind == 'c' then
        entry.count = entry.count + tonumber(ARGV[at + 3])
        accepted = accepted + tonumber(ARGV[at + 3])
        if idName then counterIds[#counterIds + 1] = int(now + ARGV[5]) .. ' ' .. idName end
      else
        if entry.fresh and not entry.last then
          -- Claimed entries of the account may still be in flight: the chain that `history` walks goes on there.
          local flight = redis.call('HGET', base .. 'flight:accounts', item)
          entry.last = flight and string.match(flight, ' (%S+)$') or '0'
        end
        records[#records + 1] = int(entryNext)
        records[#records + 1] = table.concat({ int(now), entry.last, int(amount), reply, #item .. ':' .. item .. ARGV[at + 5] }, ' ')
        entryIds[#entryIds + 1] = idName
        entry.last, entryNext = int(entryNext), entryNext + 1
        entry.count, accepted = entry.count + 1, accepted + 1
      end
      if idName then
        ids[idName] = content .. ' ' .. reply
        newIds[#newIds + 1] = idName
        newIds[#newIds + 1] = ids[idName]
      end
    end
  end
  replies[#replies + 1] = reply
end

-- Redis keeps a hash of short fields as a list, up to 512 of them, and searches it for each field of each call. One long
-- value makes it a table, and it stays one: a third less time for this script.
local FEW = 16
local function storeSums(hash, fields)
  local before = redis.call('HLEN', base .. hash)
  if before > FEW or before + #fields / 2 <= FEW then return redis.call('HSET', base .. hash, unpack(fields)) end
  redis.call('HSET', base .. hash, '', string.rep(' ', 65), unpack(fields))
  redis.call('HDEL', base .. hash, '')
end

-- Write.
local pushed = tonumber(state[3])
local changed = { c = {}, p = {} }
local order = {}
for kind, byItem in pairs(items) do
  for _, item in ipairs(names[kind]) do
    local entry = byItem[item]
    if entry.changed then
      local list = changed[kind]
      list[#list + 1] = item
      list[#list + 1] = int(entry.sum) .. ' ' .. entry.count .. (kind == 'p' and ' ' .. entry.last or '')
      if kind == 'c' and entry.fresh then order[#order + 1] = int(now) .. ' ' .. item end
      if entry.live then redis.call('SET', liveKey(kind, item), int(entry.live), 'PX', ARGV[4]) end
    end
  end
end
if #changed.c > 0 then storeSums('counters', changed.c) end
if #changed.p > 0 then storeSums('accounts', changed.p) end
if #records > 0 then redis.call('HSET', base .. 'entries', unpack(records)) end
if #newIds > 0 then redis.call('HSET', base .. 'ids', unpack(newIds)) end
if #entryIds > 0 then redis.call('RPUSH', base .. 'entryIds', unpack(entryIds)) end
if #order > 0 then pushed = redis.call('RPUSH', base .. 'order', unpack(order)) and pushed + #order end
if #counterIds > 0 then
  local excess = redis.call('RPUSH', base .. 'counterIds', unpack(counterIds)) - ARGV[6]
  if excess > 0 then
    local old = redis.call('LPOP', base .. 'counterIds', math.min(excess, 2000))
    for i, element in ipairs(old) do old[i] = string.match(element, '^%d+ (.*)$') end
    redis.call('HDEL', base .. 'ids', unpack(old))
  end
end

local armed = 0
if accepted > 0 then
  redis.call('HSET', KEYS[1], 'updates', int(state[2] + accepted), 'pushed', int(pushed), 'entryNext', int(entryNext))
  armed = redis.call('SET', base .. 'armed', ARGV[1], 'NX', 'PX', ARGV[3]) and 1 or 0
end
local header = table.concat({ 'ok', int(now), epoch, armed, int(pushed), int(entryNext), state[5], state[6] }, ' ')
local reply = header .. ' ' .. table.concat(replies, ' ')
redis.call('SET', requestKey, reply, 'PX', math.max(1, deadline - now))
return reply
