-- Chapter of apply.lua: what a micro-batch names, and what is known of it. Needs `base`, `int`, `idName`, `live`.

-- The distinct items of each kind, and ids. Arrays by the item's position in its kind, with the size apart: a
-- table for each item, and `#`, would cost more than all the rest.
local function distinct(updates)
  local sub = string.sub
  local groups, ids, idNames, digests, at = {}, {}, {}, {}, 1
  while updates[at] do
    local kind, item, detail, id = updates[at], updates[at + 1], updates[at + 3], updates[at + 4]
    local group, isHold = groups[kind], type(detail) == 'table'
    if not group then
      -- Entries and amendments have a payload, and so one element more.
      local hasPayload = kind == 'p' or kind == 'a'
      group = {
        hash = hasPayload and base .. 'accounts' or base .. 'counters', size = 0, positions = {}, items = {}, fields = {},
        sums = {}, counts = {}, last = {}, changed = {}, hasPayload = hasPayload, isKept = not hasPayload and kind ~= 'c',
      }
      groups[kind] = group
    end
    if not group.positions[item] then
      local position = group.size + 1
      group.size, group.positions[item], group.items[position] = position, position, item
      if kind == 'c' then group.fields[position] = 'c' .. item
      -- Values share the hash of counters: there, as live, they begin with their kind.
      elseif group.isKept then group.items[position], group.fields[position] = kind .. item, kind .. item
      -- The live value of a counter's amendment is the counter's. That of a value changes with the flush.
      elseif kind == 'a' and string.find(item, '^![<=>]') then group.fields[position] = item
      elseif kind == 'a' and sub(item, 1, 1) == '!' then group.fields[position] = 'c' .. sub(item, 2)
      else group.fields[position] = 'p' .. item end
    end
    if isHold then
      group.holdFields = group.holdFields or {}
      group.holdFields[#group.holdFields + 1] = idName('h', item, id)
    elseif id ~= '' and not group.isKept then
      local name = kind == 'c' and id or idName(kind, item, id)
      if ids[name] == nil then
        local names = kind == 'c' and digests or idNames
        ids[name] = false
        names[#names + 1] = name
      end
    end
    at = at + (group.hasPayload and 6 or 5)
  end
  return groups, ids, idNames, digests
end

-- Separates held points from sums and live values, and reads the records of holds.
local function readHolds(group)
  --!include balance
  local held, heldSums, find = {}, {}, string.find
  for position = 1, group.size do
    local sum, live = group.sums[position], group.live[position]
    if sum ~= 0 and find(sum, '/', 1, true) then group.sums[position], heldSums[position] = readBalance(sum) end
    if live and find(live, '/', 1, true) then group.live[position], held[position] = readBalance(live) end
  end
  group.held, group.heldSums = held, heldSums
  if not group.holdFields then return end
  local records, isOld = findLive(group.holdFields)
  group.records, group.recordsOld, group.recordsChanged = {}, {}, {}
  for at, field in ipairs(group.holdFields) do
    group.records[field], group.recordsOld[field] = records[at], isOld and isOld[at]
  end
end

-- Reads their values, in a few calls for each kind. Numbers stay text until something is added to them.
local function read(groups, ids, idNames)
  local match, isAnyLive = string.match, hasLive()
  for _, group in pairs(groups) do
    if isAnyLive then group.live, group.isOld = findLive(group.fields) else group.live = {} end
    local pending = redis.call('HMGET', group.hash, unpack(group.items))
    local sums, counts, last, fresh = group.sums, group.counts, group.last, 0
    for position = 1, group.size do
      local value = pending[position]
      if value then
        sums[position], counts[position], last[position] = match(value, '^(%S+) (%d+) ?(%d*)')
      else
        sums[position], counts[position], last[position], fresh = not group.isKept and 0, 0, false, fresh + 1
      end
    end
    group.fresh = fresh
    if group.hasPayload then readHolds(group) end
  end
  if #idNames > 0 then
    local answers = redis.call('HMGET', base .. 'ids', unpack(idNames))
    for i, name in ipairs(idNames) do ids[name] = answers[i] end
  end
end
