#!lua
-- Accepts a micro-batch of updates of one partition: checks all of them in order, then writes.
--
-- KEYS[1]  {namespace:partition}:state; every other key of the partition is derived from it
-- ARGV     1 caller, whose calls come one after another   2 deadline, ms of this server's clock   3 wake-up lease, ms
--          4 live TTL, ms   5 idempotency window, ms   6 most counter ids remembered
--          7 incarnation and 8 count of updates that the caller was answered last ('' and 0 for none)
--          limits: 9 pending counter keys   10 entries not in the database   11 age of the oldest update, ms
--          12 1 where the server's memory is over its limit
--          13 the updates, one JSON array of five or six values for each:
--            "c" counter    item 'name:key', amount, how many updates it sums up, id or ''
--            "p" points     item 'program:account', amount, floor, id, payload: the entry as JSON
--            "a" amendment  item of the quarantined update, a counter's behind '!', delta, 0, id, payload; alone in its call
--          14 number of this call among the caller's   15 deployment
-- Reply    error FOREIGN where the state is another deployment's; else one string: 'STATUS time' where nothing was tried (late: also behind a later call of this caller; absent), else
--          'ok time epoch armed pushed entries quarantined sequence segmentEnd incarnation updates lost' and a token for each
--          update:
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
local call, format, match, sub = redis.call, string.format, string.match, string.sub
local base = sub(KEYS[1], 1, -6)
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- The caller's last reply, behind its number: a call that is sent again gets it, one that comes behind a later one is
-- refused. One key for each caller: a key for each call would keep Redis busy with forgetting them.
local DIGITS, LONGER = 16, 10000
local lastKey, number = base .. 'last:' .. ARGV[1], tonumber(ARGV[14])
local last = tonumber(call('GETRANGE', lastKey, 0, DIGITS - 1)) or 0
if last == number and number > 0 then return sub(call('GET', lastKey), DIGITS + 1) end
local deadline = tonumber(ARGV[2])
if last > number or now > deadline then return format('late %.0f', now) end

local state = call('HMGET', KEYS[1], 'epoch', 'updates', 'pushed', 'entryNext', 'quarantined', 'sequence',
  'run', 'incarnation', 'ended', 'entryAcked', 'entryClaimed', 'flightOldest', 'popped', 'segmentStart', 'segmentEnd',
  'deployment')
local epoch = state[1]
if not epoch then return format('absent %.0f', now) end
if state[16] ~= ARGV[15] then return redis.error_reply('FOREIGN the partition belongs to another deployment') end

local function int(number) return format('%d', number) end

-- Which incarnation this is, and what was lost with the ones before: 'incarnation kept lost', newest first.
local ENDED = 8
local incarnation, ended, lost, changedRun = state[8], {}, 0, false
for name, kept, known in string.gmatch(state[9] or '', '(%S+) (%S+) (%S+)') do
  ended[#ended + 1] = { name, tonumber(kept), tonumber(known) }
end
local run = match(call('INFO', 'server'), 'run_id:(%x+)') or ''
local seen, seenUpdates = ARGV[7], tonumber(ARGV[8])
if run ~= state[7] or not incarnation or (seen == incarnation and seenUpdates > tonumber(state[2])) then
  if incarnation then table.insert(ended, 1, { incarnation, tonumber(state[2]), 0 }) end
  ended[ENDED + 1] = nil
  -- With the time: a copy of this call must not give two incarnations one name.
  incarnation, changedRun = ARGV[1] .. '.' .. ARGV[14] .. format('.%x', clock[1] * 1000000 + clock[2]), true
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

-- What is known of each distinct item and id, read in two calls for each kind of it. Kept in arrays by the item's
-- number, without asking them for their length: a table for each item, and `#`, would cost more than the rest. Numbers
-- stay the text that they are in Redis until something is added to them.
local updates = cjson.decode(ARGV[13])
local WIDTH, groups = { c = 5, p = 6, a = 6 }, {}
local ids, idNames = {}, {}
local function idName(kind, item, id) return kind .. #item .. ':' .. item .. id end
local at = 1
while updates[at] do
  local kind, item, id = updates[at], updates[at + 1], updates[at + 4]
  local known = groups[kind]
  if not known then
    known = {
      hash = kind == 'c' and base .. 'counters' or base .. 'accounts',
      prefix = (kind == 'c' and base .. 'c:' or base .. 'p:') .. epoch .. ':', size = 0, numbers = {}, items = {},
      liveKeys = {}, sums = {}, counts = {}, last = {}, fresh = {}, changed = {},
    }
    groups[kind] = known
  end
  if not known.numbers[item] then
    local number = known.size + 1
    known.size, known.numbers[item], known.items[number] = number, number, item
    known.liveKeys[number] = known.prefix .. item
    -- The live value of a counter's amendment is the counter's.
    if kind == 'a' and sub(item, 1, 1) == '!' then known.liveKeys[number] = base .. 'c:' .. epoch .. ':' .. sub(item, 2) end
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
  known.live = call('MGET', unpack(known.liveKeys))
  local pending = call('HMGET', known.hash, unpack(known.items))
  local sums, counts, last, fresh, changed = known.sums, known.counts, known.last, known.fresh, known.changed
  for number = 1, known.size do
    local value = pending[number]
    fresh[number], changed[number] = not value, false
    if value then
      sums[number], counts[number], last[number] = match(value, '^(%S+) (%d+) ?(%d*)')
    else
      sums[number], counts[number], last[number] = 0, 0, false
    end
  end
end
if #idNames > 0 then
  local known = call('HMGET', base .. 'ids', unpack(idNames))
  for i, name in ipairs(idNames) do ids[name] = known[i] end
end

-- How long the oldest update has waited: read where a limit asks for it, and as a hint when to come again.
local age
local function ageOfOldest()
  if age then return age end
  local oldest = tonumber(state[12])
  local function older(element)
    local time = element and tonumber(match(element, '^(%d+)'))
    if time and (oldest == 0 or time < oldest) then oldest = time end
  end
  if tonumber(state[13]) < tonumber(state[15]) then
    older(call('LINDEX', base .. 'segment:order', int(state[13] - state[14])))
  else
    older(call('LINDEX', base .. 'order', 0))
  end
  older(call('HGET', base .. 'entries', state[11]))
  age = oldest == 0 and 0 or math.max(0, now - oldest)
  return age
end
local function refused(limit) return 'b' .. limit .. int(math.min(5000, math.max(100, ageOfOldest()))) end
local closed = ARGV[12] == '1' and 'm' or (tonumber(ARGV[11]) > 0 and ageOfOldest() > tonumber(ARGV[11])) and 'a'
local pushed = tonumber(state[3])
local keysLeft = ARGV[9] - (pushed - state[13])
-- Whether a key waits in the segment: its updates cost no other key's room.
local function waits(item)
  local sum = call('HGET', base .. 'segment:counters', item)
  return sum and tonumber(match(sum, ' (%d+)$')) >= tonumber(state[13])
end
local entriesLeft = ARGV[10] - (state[4] - state[10])

-- Decide each update against the running state.
local replies, replied, accepted = {}, 0, 0
local newIds, counterIds, entryIds = {}, {}, {}
local records, entryNext = {}, tonumber(state[4])
at = 1
while updates[at] do
  local kind, item, amount, detail, id = updates[at], updates[at + 1], updates[at + 2], updates[at + 3], updates[at + 4]
  local known, payload = groups[kind], updates[at + 5]
  local number = known.numbers[item]
  local name = id ~= '' and idName(kind, item, id)
  local content = name and (kind == 'c' and int(amount) or sub(redis.sha1hex(payload), 1, 20))
  local reply
  if name and ids[name] then
    local same, first = match(ids[name], '^(%S+) (%S+)$')
    reply = same == content and 'd' .. first or 'r'
  else
    local sum = known.sums[number] + amount
    local live = known.live[number]
    local value = live and live + amount
    local isNew = kind == 'c' and known.fresh[number] and not known.changed[number]
    if closed and kind ~= 'a' then
      reply = refused(closed)
    elseif isNew and keysLeft <= 0 and not waits(item) then
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
          -- Entries of a segment may still be on their way: the chain that `history` walks goes on there.
          local older = call('HGET', base .. 'segment:accounts', item)
          last = older and match(older, ' (%S+)$') or '0'
        end
        local entry = int(entryNext)
        records[#records + 1] = entry
        records[#records + 1] = format('%d %s %d %s %d:', now, last, amount, reply, #item) .. item .. payload
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
  replied = replied + 1
  replies[replied] = reply
  at = at + WIDTH[kind]
end

-- Redis keeps a hash of short fields as a list, up to 512 of them, and searches it for each field of each call. One long
-- value makes it a table, and it stays one: a third less time for this script.
local FEW = 16
local function storeSums(hash, fields)
  local before = call('HLEN', hash)
  if before > FEW or before + #fields / 2 <= FEW then return call('HSET', hash, unpack(fields)) end
  call('HSET', hash, '', string.rep(' ', 65), unpack(fields))
  call('HDEL', hash, '')
end

-- Write.
local order, ordered, time = {}, 0, int(now) .. ' '
for kind, known in pairs(groups) do
  local fields, size = {}, 0
  local items, live, sums, counts, last = known.items, known.live, known.sums, known.counts, known.last
  for number = 1, known.size do
    if known.changed[number] then
      local item = items[number]
      fields[size + 1] = item
      if kind == 'c' then
        if known.fresh[number] then
          last[number] = pushed + ordered
          ordered = ordered + 1
          order[ordered] = time .. item
        end
        fields[size + 2] = format('%d %d %d', sums[number], counts[number], last[number])
      else
        fields[size + 2] = format('%d %d %s', sums[number], counts[number], last[number])
      end
      size = size + 2
      if live[number] then call('SET', known.liveKeys[number], live[number], 'PX', ARGV[4]) end
    end
  end
  if size > 0 then storeSums(known.hash, fields) end
end
if #records > 0 then call('HSET', base .. 'entries', unpack(records)) end
if #newIds > 0 then call('HSET', base .. 'ids', unpack(newIds)) end
if #entryIds > 0 then call('RPUSH', base .. 'entryIds', unpack(entryIds)) end
if ordered > 0 then
  call('RPUSH', base .. 'order', unpack(order))
  pushed = pushed + ordered
end
if #counterIds > 0 then
  local excess = call('RPUSH', base .. 'counterIds', unpack(counterIds)) - ARGV[6]
  if excess > 0 then
    local old = call('LPOP', base .. 'counterIds', math.min(excess, 2000))
    for i, element in ipairs(old) do old[i] = match(element, '^%d+ (.*)$') end
    call('HDEL', base .. 'ids', unpack(old))
  end
end

if changedRun then
  for i, one in ipairs(ended) do ended[i] = one[1] .. ' ' .. int(one[2]) .. ' ' .. int(one[3]) end
  call('HSET', KEYS[1], 'run', run, 'incarnation', incarnation, 'ended', table.concat(ended, ' '))
end
local armed, count = 0, state[2] + accepted
if accepted > 0 then
  call('HSET', KEYS[1], 'updates', count, 'pushed', pushed, 'entryNext', entryNext)
  armed = call('SET', base .. 'armed', ARGV[1], 'NX', 'PX', ARGV[3]) and 1 or 0
end
local reply = format('ok %d %s %d %d %d %s %s %s %s %d %d ', now, epoch, armed, pushed, entryNext, state[5], state[6],
  state[15], incarnation, count, lost) .. table.concat(replies, ' ')
-- Longer than until the deadline: an earlier call of this caller may have a later one, by another guess at this clock.
call('SET', lastKey, format('%016d', number) .. reply, 'PX', deadline - now + LONGER)
return reply
