#!lua
-- Accepts a micro-batch of updates of one partition: checks all of them in order, then writes.
--
-- KEYS[1]  {namespace:partition}:state; every other key of the partition is derived from it
-- ARGV     1 request id   2 deadline, ms of this server's clock   3 wake-up lease, ms
--          4 live TTL, ms   5 idempotency window, ms   6 most counter ids remembered
--          7 incarnation and 8 count of updates that the caller was answered last ('' and 0 for none)
--          limits: 9 pending counter keys   10 entries not in the database   11 age of the oldest update, ms
--          12 1 where the server's memory is over its limit
--          then six for each update: kind, item, amount, detail, id, payload
--            c  counter    item 'name:key'         detail = how many updates the amount sums up,
--                          id and payload '' where there is none
--            p  points     item 'program:account'  detail = floor, id always, payload = the entry as JSON
--            a  amendment  item of the quarantined update, a counter's behind '!'; alone in its call
-- Reply    one string: 'STATUS time' where nothing was tried (late, absent), else
--          'ok time epoch armed pushed entries quarantined sequence incarnation updates lost' and a token for each update:
--            123 or - (cold)           new live value
--            d123 or d-                duplicate, with the first result
--            r reused id   x out of range   f123 below the floor, with the balance   n account not loaded
--            bk500 be500 ba500 bm500   over the limit of keys, entries, age or memory; try again after so many ms
--
-- An incarnation is one process of Redis as this partition saw it. Where another process answers, the state is what
-- replication or the append-only file brought over: the count of updates in it is how far the ended incarnation was
-- kept, and a caller who was answered a higher count in it knows how many updates are lost.
--
-- A script is not rolled back when it fails half-way: nothing is written before the last check.

local SAFE = 9007199254740991
local FIRST = 13
local base = string.sub(KEYS[1], 1, -6)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local requestKey = base .. 'request:' .. ARGV[1]
local remembered = redis.call('GET', requestKey)
if remembered then return remembered end
local deadline = tonumber(ARGV[2])
if now > deadline then return string.format('late %.0f', now) end

local state = redis.call('HMGET', KEYS[1], 'epoch', 'updates', 'pushed', 'entryNext', 'quarantined', 'sequence',
  'run', 'incarnation', 'ended', 'entryAcked', 'entryClaimed', 'flightOldest')
local epoch = state[1]
if not epoch then return string.format('absent %.0f', now) end

local function int(number) return string.format('%.0f', number) end
local function liveKey(kind, item)
  if kind == 'c' or kind == 'p' then return base .. kind .. ':' .. epoch .. ':' .. item end
  if string.sub(item, 1, 1) == '!' then return base .. 'c:' .. epoch .. ':' .. string.sub(item, 2) end
  return base .. 'p:' .. epoch .. ':' .. item
end

-- Which incarnation this is, and what was lost with the ones before: 'incarnation kept lost', newest first.
local ENDED = 8
local incarnation, ended, lost, changedRun = state[8], {}, 0, false
for name, kept, known in string.gmatch(state[9] or '', '(%S+) (%S+) (%S+)') do
  ended[#ended + 1] = { name, tonumber(kept), tonumber(known) }
end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
local seen, seenUpdates = ARGV[7], tonumber(ARGV[8])
if run ~= state[7] or not incarnation or (seen == incarnation and seenUpdates > tonumber(state[2])) then
  if incarnation then table.insert(ended, 1, { incarnation, tonumber(state[2]), 0 }) end
  ended[ENDED + 1] = nil
  incarnation, changedRun = ARGV[1], true
end
if seen ~= '' and seen ~= incarnation and #ended > 0 then
  -- One that is not known any more was forgotten with the tail: the newest that is known was kept at most.
  local last = ended[1]
  for _, one in ipairs(ended) do
    if one[1] == seen then last = one end
  end
  local excess = seenUpdates - last[2]
  if excess > last[3] then
    lost, last[3], changedRun = excess - last[3], excess, true
  end
end

-- What is known of each distinct item and id, read in as few calls as there are kinds of it.
local items, names, liveKeys = { c = {}, p = {}, a = {} }, { c = {}, p = {}, a = {} }, {}
local ids, idNames = {}, {}
for at = FIRST, #ARGV, 6 do
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
local HASHES = { c = 'counters', p = 'accounts', a = 'accounts' }
for kind, hash in pairs(HASHES) do
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

-- How long the oldest update has waited: read where a limit asks for it, and as a hint when to come again.
local age
local function ageOfOldest()
  if age then return age end
  local oldest = tonumber(state[12])
  local function older(element)
    local time = element and tonumber(string.match(element, '^(%d+)'))
    if time and (oldest == 0 or time < oldest) then oldest = time end
  end
  older(redis.call('LINDEX', base .. 'order', 0))
  older(redis.call('HGET', base .. 'entries', state[11]))
  age = oldest == 0 and 0 or math.max(0, now - oldest)
  return age
end
local function refused(limit) return 'b' .. limit .. int(math.min(5000, math.max(100, ageOfOldest()))) end
local closed = ARGV[12] == '1' and 'm' or (tonumber(ARGV[11]) > 0 and ageOfOldest() > tonumber(ARGV[11])) and 'a'
local keysLeft = #names.c > 0 and ARGV[9] - redis.call('LLEN', base .. 'order') or 0
local entriesLeft = ARGV[10] - (state[4] - state[10])

-- Decide each update against the running state.
local replies, accepted = {}, 0
local newIds, counterIds, entryIds = {}, {}, {}
local records, entryNext = {}, tonumber(state[4])
for at = FIRST, #ARGV, 6 do
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
    if closed and kind ~= 'a' then
      reply = refused(closed)
    elseif kind == 'c' and entry.fresh and not entry.changed and keysLeft <= 0 then
      reply = refused('k')
    elseif kind == 'p' and entriesLeft <= 0 then
      reply = refused('e')
    elseif kind == 'p' and not value then
      reply = 'n'
    elseif kind == 'p' and amount < 0 and value < tonumber(ARGV[at + 3]) then
      reply = 'f' .. int(entry.live)
    elseif math.abs(sum) > SAFE or (value and math.abs(value) > SAFE) then
      reply = 'x'
    else
      reply = value and int(value) or '-'
      if kind == 'c' and entry.fresh and not entry.changed then keysLeft = keysLeft - 1 end
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
        entry.count, accepted, entriesLeft = entry.count + 1, accepted + 1, entriesLeft - 1
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
local changed = { c = {}, p = {}, a = {} }
local order = {}
for kind, byItem in pairs(items) do
  for _, item in ipairs(names[kind]) do
    local entry = byItem[item]
    if entry.changed then
      local list = changed[kind]
      list[#list + 1] = item
      list[#list + 1] = int(entry.sum) .. ' ' .. entry.count .. (kind == 'c' and '' or ' ' .. entry.last)
      if kind == 'c' and entry.fresh then order[#order + 1] = int(now) .. ' ' .. item end
      if entry.live then redis.call('SET', liveKey(kind, item), int(entry.live), 'PX', ARGV[4]) end
    end
  end
end
if #changed.c > 0 then storeSums('counters', changed.c) end
if #changed.p > 0 then storeSums('accounts', changed.p) end
if #changed.a > 0 then storeSums('accounts', changed.a) end
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

if changedRun then
  for i, one in ipairs(ended) do ended[i] = one[1] .. ' ' .. int(one[2]) .. ' ' .. int(one[3]) end
  redis.call('HSET', KEYS[1], 'run', run, 'incarnation', incarnation, 'ended', table.concat(ended, ' '))
end
local armed, updates = 0, state[2] + accepted
if accepted > 0 then
  redis.call('HSET', KEYS[1], 'updates', int(updates), 'pushed', int(pushed), 'entryNext', int(entryNext))
  armed = redis.call('SET', base .. 'armed', ARGV[1], 'NX', 'PX', ARGV[3]) and 1 or 0
end
local header = table.concat({
  'ok', int(now), epoch, armed, int(pushed), int(entryNext), state[5], state[6], incarnation, int(updates), int(lost),
}, ' ')
local reply = header .. ' ' .. table.concat(replies, ' ')
redis.call('SET', requestKey, reply, 'PX', math.max(1, deadline - now))
return reply
