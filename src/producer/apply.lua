#!lua
-- Accepts micro-batches of updates, each of another partition: checks all updates of a batch in order, then
-- writes. A batch that fails changes nothing for the others of the call.
--
-- KEYS     {namespace:partition}:state of each partition; every other key of it is derived from that.
--          On a Cluster one partition, and then its other keys
-- ARGV     1 deployment, with its format
--          times, ms: 2 wake-up lease   3 idempotency window
--          limits of a partition: 4 ids of counters remembered   5 pending counter keys
--          6 entries not in the database   7 age of the oldest update, ms; 0 for none
--          then seven for each partition:
--          of the caller, which makes one call of the partition at a time:
--          1 id   2 number of this call   3 deadline, ms of this server's clock
--          4 incarnation and 5 count of updates in its last answer ('' and 0 before any)
--          6 the updates as JSON. If they are plain, counters without ids and each item once, three arrays:
--            items 'name:key', amounts, and numbers of summed updates. Else one array of five or six values for
--            each:
--            "c" counter    item 'name:key', amount, number of summed updates, digest of the id or ''
--            ">" "<" "="    a value's kind: item 'name:key', the number that is put, number of puts, '' or '0':
--                           then it is older than any other put of this key
--            "p" points     item 'program:account', amount, floor, id, payload: the entry as JSON. If it holds points
--                           or ends a hold, a list instead of the floor: floor, 'h', 'p' or 'v', ms until it expires
--                           or 0; the amount is what is held, or posted, 0 for all of it; the id is the hold's
--            "a" amendment  item of the quarantined update, a counter's after '!', delta, 0, id, payload;
--                           alone in its call
--          7 1 if the server's memory is over its limit
-- Reply    a string for each partition: 'error message' if its batch failed before it wrote,
--          'late time' after the deadline or a later call of this caller,
--          'absent time' without a state, or
--          'ok time epoch armed pushed entries quarantined sequence segmentEnd incarnation updates lost' and
--          a token for each update:
--            123 or - (cold)           new live value; 100/40 of an account that holds points
--            d123 or d-                duplicate, with the first result; of a hold, with the live value
--            hn no such hold   hp30 hv0 he0 posted, voided or expired, and how much was posted   hm50 above the hold
--            r reused id   x out of range   f123 below the floor, with the balance
--            n account not loaded   nh only its hold is not   nb behind an update of the account whose hold is not
--            bk500 be500 ba500 bm500   over the limit of keys, entries, age or memory; retry after so many ms
--          The error is FOREIGN if the state is another deployment's or of another format.
--
-- Redis does not roll back a script that fails: a batch writes nothing before its last check.

--!include now
--!include int
--!include foreign

local SHARED, EACH = 7, 7
local deployment, leaseMs, windowMs, idsLimit, keysLimit, entriesLimit, ageLimitMs = unpack(ARGV, 1, SHARED)
ageLimitMs = tonumber(ageLimitMs)
-- The partition at hand: prefix of its keys.
local base

-- The key of a caller has its last number and reply: a repeated call gets the reply, an earlier call is
-- refused. One key for each caller: a key for each call would keep Redis busy with expiry.
local DIGITS, LONGER_MS = 16, 10000

-- Each call creates its functions again, at a cost for each outer variable that they name: a tenth of a
-- microsecond in total. So they take parameters, and rarely used parts are created where they are used.

--!include meet

--!include id-name
--!include live
--!include apply-read

-- Reads the ids of counters. Returns a function that writes accepted ones. Its parts cost nothing without ids.
local function rememberedIds(digests, ids)
  --!include counter-ids
  --!include write-counter-ids
  local known = readCounterIds(digests, ids)
  return function(accepted, limit, windowMs) writeCounterIds(known, accepted, ids, limit, windowMs) end
end

--!include age

-- Whether the key is pending in the segment: then its update takes no room from other keys.
local function waits(item, state)
  local sum = redis.call('HGET', base .. 'segment:counters', item)
  return sum and tonumber(string.match(sum, ' (%d+)$')) >= state.popped
end

-- Gives an accepted entry its number and its record, which points to the account's previous entry.
-- `amount` is a text.
local function addEntry(decided, group, position, name, amount, balance, payload, isOfHold)
  local item, last, number = group.items[position], group.last[position], int(decided.entryNext)
  if not last then
    -- Entries of the segment may not be flushed yet: the chain that `history` walks continues there.
    local older = redis.call('HGET', base .. 'segment:accounts', item)
    last = older and string.match(older, ' (%S+)$') or '0'
  end
  local at, records = #decided.entryIds + 1, decided.records
  records[2 * at - 1] = number
  records[2 * at] = string.format('%d %s %s %s %d:', now, last, amount, balance, #item) .. item .. payload
  -- `trim` counts the elements. The ids of holds and their ends are forgotten by `ack`.
  decided.entryIds[at] = isOfHold and '' or name
  group.last[position], decided.entryNext = number, decided.entryNext + 1
end

-- Returns a function for puts: what is pending and live afterwards, as texts, and the live number. No later put has a
-- lower version, whatever happens to the clock. Its parts cost nothing without values.
local function putting(state)
  --!include kept
  return function(kind, group, position, number, isOldest)
    local text, live = int(number), group.live[position]
    if isOldest and kind == '=' then
      text = text .. '@0'
    elseif kind == '=' then
      local before = live and versionOf(live) or 0
      state.version = math.max(clock[1] * 1000000 + clock[2], state.version + 1, before + 1)
      text = text .. '@' .. int(state.version)
    end
    local value = live and kept(kind, live, text)
    return kept(kind, group.sums[position], text), value, value and valueOf(value)
  end
end

-- Returns a function that decides what an action does to its hold. Its parts cost nothing without holds.
local function holding(group)
  --!include hold
  return function(item, position, amount, detail, id)
    local field = idName('h', item, id)
    local record = group.records[field]
    if not group.live[position] then return nil, 'n' end
    if not record then return nil, 'nh' end
    local entry, reply = decideHold(record, item, id, detail[2], amount, detail[3])
    if entry then entry.field = field end
    return entry, reply
  end
end

-- Writes down that an action of a hold is accepted.
local function noteHold(group, entry)
  group.records[entry.field] = entry.record
  group.recordsChanged[#group.recordsChanged + 1] = entry.field
end

-- Decides each update against the running state of its group. Returns the replies and the writes outside of
-- the groups.
local function decide(updates, state, groups, ids, closed, keysLeft, entriesLeft)
  local SAFE, match, sub = 9007199254740991, string.match, string.sub
  local replies, newIds, counterIds = {}, {}, {}
  local decided = {
    replies = replies, accepted = 0, newIds = newIds, counterIds = counterIds, entryIds = {}, records = {},
    entryNext = state.entryNext,
  }
  local at, replied, accepted, named, retryMs, put, hold = 1, 0, 0, 0, nil, nil, nil
  --!include balance
  while updates[at] do
    local kind, item, amount, detail, id = updates[at], updates[at + 1], updates[at + 2], updates[at + 3], updates[at + 4]
    local group, payload = groups[kind], updates[at + 5]
    local position = group.positions[item]
    local name = id ~= '' and not group.isKept and (kind == 'c' and id or idName(kind, item, id))
    local content = name and (kind == 'c' and int(amount) or sub(redis.sha1hex(payload), 1, 20))
    local reply, entry, held, floor, closing = nil, nil, 0, detail, nil
    if type(detail) == 'table' then
      hold = hold or holding(group)
      entry, reply = hold(item, position, amount, detail, id)
      if reply == 'nh' then
        group.awaits = group.awaits or {}
        group.awaits[position] = true
      end
    end
    if group.awaits and group.awaits[position] then
      -- Behind an update that waits for the record of its hold: those of an account keep their order.
      entry, reply = nil, reply == 'nh' and reply or 'nb'
    elseif entry then
      -- What remains to be answered after the expiry is written.
      amount, held, floor, closing, reply = entry.balance, entry.held, detail[1], reply, nil
      name, content = entry.name, entry.record
      -- For the boards.
      updates[at + 2] = amount
    elseif reply == 'd' then
      reply = 'd' .. balanceText(group.live[position], group.held[position] or 0)
    end
    if reply then
      -- Refused or a duplicate by its hold.
    elseif name and not entry and ids[name] then
      local same, first = match(ids[name], '^(%S+) (%S+)$')
      reply = same == content and 'd' .. first or 'r'
    else
      local live, sum, value, shown = group.live[position], nil, nil, nil
      if group.isKept then
        put = put or putting(state)
        sum, value, shown = put(kind, group, position, amount, id ~= '')
      else
        sum, value = group.sums[position] + amount, live and live + amount
      end
      local heldLive = group.held and group.held[position] or 0
      -- What is held cannot be taken; only a post takes what its hold has.
      local needsRoom = kind == 'p' and (held > 0 or amount < 0 and not entry)
      local isNew = not group.hasPayload and not group.last[position] and not group.changed[position]
      local limit = closed and kind ~= 'a' and closed
        or isNew and keysLeft <= 0 and not waits(group.items[position], state) and 'k'
        or kind == 'p' and entriesLeft <= 0 and 'e'
      if limit then
        retryMs = retryMs or int(math.min(5000, math.max(100, ageOfOldest(state))))
        reply = 'b' .. limit .. retryMs
      elseif kind == 'p' and not value then
        reply = 'n'
      elseif needsRoom and value - heldLive - math.max(held, 0) < floor then
        reply = 'f' .. balanceText(live, heldLive)
      elseif not group.isKept and (sum > SAFE or sum < -SAFE or (value and (value > SAFE or value < -SAFE))) or heldLive + held > SAFE then
        reply = 'x'
      else
        reply = value and (shown or (kind == 'p' and balanceText(value, heldLive + held) or int(value))) or '-'
        group.sums[position], group.changed[position] = sum, true
        if value then group.live[position] = value end
        if isNew then keysLeft = keysLeft - 1 end
        if entry then
          group.held[position], group.heldSums[position] = heldLive + held, (group.heldSums[position] or 0) + held
          noteHold(group, entry)
        end
        if group.hasPayload then
          addEntry(decided, group, position, name, entry and entry.amount or int(amount), reply, payload, entry)
          entriesLeft = entriesLeft - 1
        end
        local count = group.hasPayload and 1 or detail
        group.counts[position], accepted = group.counts[position] + count, accepted + count
        if name then
          ids[name] = content .. ' ' .. (entry and '-' or reply)
          if kind == 'c' then counterIds[#counterIds + 1] = name
          else
            named = named + 1
            newIds[2 * named - 1], newIds[2 * named] = name, ids[name]
          end
        end
        reply = closing or reply
      end
    end
    replied = replied + 1
    replies[replied] = reply
    at = at + (group.hasPayload and 6 or 5)
  end
  decided.accepted = accepted
  return decided
end

--!include store-sums

-- Adds the changed records of holds to the lists of live values to write. Returns their new lengths.
local function addRecords(group, young, written, old, moved)
  for _, field in ipairs(group.recordsChanged) do
    young[written + 1], young[written + 2], written = field, group.records[field], written + 2
    if group.recordsOld[field] then old[moved + 1], moved = field, moved + 1 end
  end
  return written, moved
end

-- Writes sums and live values, and appends new counters to the order. Returns the number of the next counter.
local function writeSums(groups, pushed)
  local format, call = string.format, redis.call
  local order, ordered, time = {}, 0, int(now) .. ' '
  --!include balance
  for kind, group in pairs(groups) do
    local fields, size = {}, 0
    local items, live, sums, counts, last = group.items, group.live, group.sums, group.counts, group.last
    local names, isOld, young, old, written, moved = group.fields, group.isOld, {}, {}, 0, 0
    for position = 1, group.size do
      if group.changed[position] then
        local item = items[position]
        fields[size + 1] = item
        if not group.hasPayload then
          if not last[position] then
            last[position] = pushed + ordered
            ordered = ordered + 1
            order[ordered] = time .. item
          end
          fields[size + 2] = format(group.isKept and '%s %d %d' or '%d %d %d', sums[position], counts[position], last[position])
        else
          fields[size + 2] = format('%s %d %s', balanceText(sums[position], group.heldSums[position] or 0), counts[position], last[position])
        end
        size = size + 2
        if live[position] then
          local held = group.held and group.held[position]
          young[written + 1], young[written + 2] = names[position], held and balanceText(live[position], held) or live[position]
          written = written + 2
          if isOld and isOld[position] then
            moved = moved + 1
            old[moved] = names[position]
          end
        end
      end
    end
    if group.recordsChanged then written, moved = addRecords(group, young, written, old, moved) end
    if size > 0 and group.fresh == 0 then call('HSET', group.hash, unpack(fields))
    elseif size > 0 then storeSums(group.hash, fields) end
    if written > 0 then call('HSET', base .. 'live:young', unpack(young)) end
    if moved > 0 then call('HDEL', base .. 'live:old', unpack(old)) end
  end
  if ordered > 0 then call('RPUSH', base .. 'order', unpack(order)) end
  return pushed + ordered
end

-- Writes entries and their ids.
local function writeEntries(decided)
  if #decided.records == 0 then return end
  redis.call('HSET', base .. 'entries', unpack(decided.records))
  redis.call('HSET', base .. 'ids', unpack(decided.newIds))
  redis.call('RPUSH', base .. 'entryIds', unpack(decided.entryIds))
end

--!include apply-plain

--!include apply-ranks

-- Accepts the micro-batch of one partition. Returns its reply.
local function applyOne(stateKey, caller, callNumber, deadline, seen, seenUpdates, updatesJson, isMemoryOver)
  base = string.sub(stateKey, 1, -6)
  local lastKey, number = base .. 'last:' .. caller, tonumber(callNumber)
  local last = tonumber(redis.call('GETRANGE', lastKey, 0, DIGITS - 1)) or 0
  if last == number and number > 0 then return string.sub(redis.call('GET', lastKey), DIGITS + 1) end
  if last > number or now > tonumber(deadline) then return 'late ' .. int(now) end

  --!read state from stateKey
  if state.epoch == '' then return 'absent ' .. int(now) end
  if state.deployment ~= deployment then return 'error ' .. FOREIGN end

  local incarnation, lost, met = meet(stateKey, state, caller, callNumber, seen, tonumber(seenUpdates))
  local updates, version = cjson.decode(updatesJson), state.version
  local rank = state.boards ~= '' and ranking(state.boards, state.epoch)
  -- Limits that refuse all updates except amendments.
  local closed = isMemoryOver == '1' and 'm' or isTooOld(state) and 'a'
  local keysLeft = keysLimit - (state.pushed - state.popped)
  local entriesLeft = entriesLimit - (state.entryNext - state.entryAcked)
  local replies, accepted, pushed, entryNext
  if type(updates[1]) == 'table' then
    replies, accepted, pushed = applyPlain(updates[1], updates[2], updates[3], state, closed, keysLeft)
    entryNext = state.entryNext
  else
    local groups, ids, idNames, digests = distinct(updates)
    read(groups, ids, idNames)
    local remember = #digests > 0 and rememberedIds(digests, ids)
    local decided = decide(updates, state, groups, ids, closed, keysLeft, entriesLeft)
    pushed = writeSums(groups, state.pushed)
    writeEntries(decided)
    if #decided.counterIds > 0 then remember(decided.counterIds, tonumber(idsLimit), tonumber(windowMs)) end
    replies, accepted, entryNext = decided.replies, decided.accepted, decided.entryNext
  end
  if rank and accepted > 0 then rank(updates, replies) end
  if met then redis.call('HSET', stateKey, 'run', met.run, 'incarnation', incarnation, 'ended', met.ended) end
  local armed, count = 0, state.updates + accepted
  if accepted > 0 then
    redis.call('HSET', stateKey, 'updates', count, 'pushed', pushed, 'entryNext', entryNext)
    if state.version > version then redis.call('HSET', stateKey, 'version', int(state.version)) end
    -- If this clock went back, a lease may seem longer than any is.
    if state.armedUntil <= now or state.armedUntil > now + leaseMs then
      armed = 1
      redis.call('HSET', stateKey, 'armedUntil', int(now + leaseMs))
    end
    if state.pendingSince == 0 then redis.call('HSET', stateKey, 'pendingSince', int(now)) end
  end
  local reply = string.format('ok %d %s %d %d %d %d %d %d %s %d %d ', now, state.epoch, armed, pushed, entryNext,
    state.quarantined, state.sequence, state.segmentEnd, incarnation, count, lost) .. table.concat(replies, ' ')
  -- Kept beyond the deadline: an earlier call of this caller may have a later deadline, from another estimate
  -- of this clock.
  redis.call('SET', lastKey, string.format('%016d', number) .. reply, 'PX', deadline - now + LONGER_MS)
  return reply
end

local replies = {}
for at = 1, (#ARGV - SHARED) / EACH do
  local from = SHARED + (at - 1) * EACH
  local isDone, reply = pcall(applyOne, KEYS[at], unpack(ARGV, from + 1, from + EACH))
  replies[at] = isDone and reply or 'error ' .. (type(reply) == 'table' and reply.err or tostring(reply))
end
return replies
