#!lua
-- Accepts a micro-batch of updates of one partition: checks all of them in order, then writes.
--
-- KEYS[1]  {namespace:partition}:state; every other key of the partition is derived from it
-- ARGV     1 request id   2 deadline, ms of this server's clock   3 wake-up lease, ms
--          4 live TTL, ms   5 idempotency window, ms   6 most counter ids remembered
--          7 incarnation and 8 count of updates that the caller was answered last ('' and 0 for none)
--          limits: 9 pending counter keys   10 entries not in the database   11 age of the oldest update, ms
--          12 1 where the server's memory is over its limit
--          13 the updates, one JSON array of five or six values for each:
--            "c" counter    item 'name:key', amount, how many updates it sums up, id or ''
--            "p" points     item 'program:account', amount, floor, id, payload: the entry as JSON
--            "a" amendment  item of the quarantined update, a counter's behind '!', delta, 0, id, payload; alone in its call
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

local function int(number) return string.format('%d', number) end

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

-- What is known of each distinct item and id, read in as few calls as there are kinds of it. Kept in arrays by the
-- item's number: a table for each item would cost more than the rest.
local updates = cjson.decode(ARGV[13])
local function group(hash) return {
  hash = hash, numbers = {}, items = {}, liveKeys = {}, live = {},
  sums = {}, counts = {}, last = {}, fresh = {}, changed = {},
} end
local groups, WIDTH = { c = group('counters'), p = group('accounts'), a = group('accounts') }, { c = 5, p = 6, a = 6 }
local livePrefix = { c = base .. 'c:' .. epoch .. ':', p = base .. 'p:' .. epoch .. ':' }
local ids, idNames = {}, {}
local function idName(kind, item, id) return kind .. #item .. ':' .. item .. id end
local at = 1
while updates[at] do
  local kind, item, id = updates[at], updates[at + 1], updates[at + 4]
  local known = groups[kind]
  if not known.numbers[item] then
    local number = #known.items + 1
    known.numbers[item], known.items[number] = number, item
    local ofCounter = kind == 'a' and string.sub(item, 1, 1) == '!'
    known.liveKeys[number] = ofCounter and livePrefix.c .. string.sub(item, 2) or (livePrefix[kind] or livePrefix.p) .. item
  end
  if id ~= '' then
    local name = idName(kind, item, id)
    if ids[name] == nil then
      ids[name] = false
      idNames[#idNames + 1] = name
    end
  end
  at = at + WIDTH[kind]
end
for _, known in pairs(groups) do
  local items = known.items
  if #items > 0 then
    local live = redis.call('MGET', unpack(known.liveKeys))
    for number, value in ipairs(redis.call('HMGET', base .. known.hash, unpack(items))) do
      known.live[number] = live[number] and tonumber(live[number])
      if value then
        local sum, count, last = string.match(value, '^(%S+) (%d+) ?(%d*)')
        known.sums[number], known.counts[number], known.last[number] = tonumber(sum), tonumber(count), last
      else
        known.sums[number], known.counts[number], known.fresh[number] = 0, 0, true
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
local keysLeft = #groups.c.items > 0 and ARGV[9] - redis.call('LLEN', base .. 'order') or 0
local entriesLeft = ARGV[10] - (state[4] - state[10])

-- Decide each update against the running state.
local replies, accepted = {}, 0
local newIds, counterIds, entryIds = {}, {}, {}
local records, entryNext = {}, tonumber(state[4])
at = 1
while updates[at] do
  local kind, item, amount, detail, id = updates[at], updates[at + 1], updates[at + 2], updates[at + 3], updates[at + 4]
  local known, payload = groups[kind], updates[at + 5]
  local number = known.numbers[item]
  local name = id ~= '' and idName(kind, item, id)
  local content = name and (kind == 'c' and int(amount) or string.sub(redis.sha1hex(payload), 1, 20))
  local reply
  if name and ids[name] then
    local same, first = string.match(ids[name], '^(%S+) (%S+)$')
    reply = same == content and 'd' .. first or 'r'
  else
    local sum = known.sums[number] + amount
    local live = known.live[number]
    local value = live and live + amount
    local isNew = kind == 'c' and known.fresh[number] and not known.changed[number]
    if closed and kind ~= 'a' then
      reply = refused(closed)
    elseif isNew and keysLeft <= 0 then
      reply = refused('k')
    elseif kind == 'p' and entriesLeft <= 0 then
      reply = refused('e')
    elseif kind == 'p' and not value then
      reply = 'n'
    elseif kind == 'p' and amount < 0 and value < detail then
      reply = 'f' .. int(live)
    elseif sum > SAFE or sum < -SAFE or (value and (value > SAFE or value < -SAFE)) then
      reply = 'x'
    else
      reply = value and int(value) or '-'
      known.sums[number], known.changed[number] = sum, true
      if value then known.live[number] = value end
      if kind == 'c' then
        if isNew then keysLeft = keysLeft - 1 end
        known.counts[number] = known.counts[number] + detail
        accepted = accepted + detail
        if name then counterIds[#counterIds + 1] = int(now + ARGV[5]) .. ' ' .. name end
      else
        local last = known.last[number]
        if not last then
          -- Claimed entries of the account may still be in flight: the chain that `history` walks goes on there.
          local flight = redis.call('HGET', base .. 'flight:accounts', item)
          last = flight and string.match(flight, ' (%S+)$') or '0'
        end
        local entry = int(entryNext)
        records[#records + 1] = entry
        records[#records + 1] = string.format('%d %s %d %s %d:', now, last, amount, reply, #item) .. item .. payload
        entryIds[#entryIds + 1] = name
        known.last[number], entryNext = entry, entryNext + 1
        known.counts[number], accepted, entriesLeft = known.counts[number] + 1, accepted + 1, entriesLeft - 1
      end
      if name then
        ids[name] = content .. ' ' .. reply
        newIds[#newIds + 1] = name
        newIds[#newIds + 1] = ids[name]
      end
    end
  end
  replies[#replies + 1] = reply
  at = at + WIDTH[kind]
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
local order, time = {}, int(now) .. ' '
for kind, known in pairs(groups) do
  local fields = {}
  for number, item in ipairs(known.items) do
    if known.changed[number] then
      fields[#fields + 1] = item
      if kind == 'c' then
        fields[#fields + 1] = string.format('%d %d', known.sums[number], known.counts[number])
        if known.fresh[number] then order[#order + 1] = time .. item end
      else
        fields[#fields + 1] = string.format('%d %d %s', known.sums[number], known.counts[number], known.last[number])
      end
      if known.live[number] then redis.call('SET', known.liveKeys[number], int(known.live[number]), 'PX', ARGV[4]) end
    end
  end
  if #fields > 0 then storeSums(known.hash, fields) end
end
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
local armed, count = 0, state[2] + accepted
if accepted > 0 then
  redis.call('HSET', KEYS[1], 'updates', int(count), 'pushed', int(pushed), 'entryNext', int(entryNext))
  armed = redis.call('SET', base .. 'armed', ARGV[1], 'NX', 'PX', ARGV[3]) and 1 or 0
end
local header = table.concat({
  'ok', int(now), epoch, armed, int(pushed), int(entryNext), state[5], state[6], incarnation, int(count), int(lost),
}, ' ')
local reply = header .. ' ' .. table.concat(replies, ' ')
redis.call('SET', requestKey, reply, 'PX', math.max(1, deadline - now))
return reply
