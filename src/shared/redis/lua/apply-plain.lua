-- Chapter of apply.lua. Needs `base`, `now`, `int`, `live`, `age`, `storeSums`, `waits`.

-- A plain batch: counters without ids, each item once. Does what distinct, read, decide and writeSums do, in
-- one pass and in two thirds of their time. Returns replies, accepted updates, and the number of the next
-- counter.
local function applyPlain(items, amounts, numbers, state, closed, keysLeft)
  local SAFE, match, format, call = 9007199254740991, string.match, string.format, redis.call
  local hash, pending = base .. 'counters', call('HMGET', base .. 'counters', unpack(items))
  local names, live, isOld = {}, {}, nil
  if hasLive() then
    for at = 1, #items do names[at] = 'c' .. items[at] end
    live, isOld = findLive(names)
  end
  local replies, fields, order, young, old = {}, {}, {}, {}, {}
  local written, ordered, used, moved, accepted, pushed = 0, 0, 0, 0, 0, state.pushed
  local time, retryMs = int(now) .. ' ', nil
  for at = 1, #items do
    local item, sum, count, number, value = items[at], amounts[at], numbers[at], nil, live[at]
    if value then value = value + sum end
    if pending[at] then
      local sumBefore, countBefore
      sumBefore, countBefore, number = match(pending[at], '^(%S+) (%d+) (%d+)')
      sum, count = sumBefore + sum, countBefore + count
    end
    local limit = closed or not number and keysLeft <= ordered and not waits(item, state) and 'k'
    if limit then
      retryMs = retryMs or int(math.min(5000, math.max(100, ageOfOldest(state))))
      replies[at] = 'b' .. limit .. retryMs
    elseif sum > SAFE or sum < -SAFE or (value and (value > SAFE or value < -SAFE)) then
      replies[at] = 'x'
    else
      if not number then
        number, ordered = pushed + ordered, ordered + 1
        order[ordered] = time .. item
      end
      fields[written + 1], fields[written + 2] = item, format('%d %d %d', sum, count, number)
      written, accepted = written + 2, accepted + numbers[at]
      replies[at] = value and int(value) or '-'
      if value then
        young[used + 1], young[used + 2], used = names[at], replies[at], used + 2
        if isOld and isOld[at] then old[moved + 1], moved = names[at], moved + 1 end
      end
    end
  end
  if ordered > 0 then storeSums(hash, fields) elseif written > 0 then call('HSET', hash, unpack(fields)) end
  if used > 0 then call('HSET', base .. 'live:young', unpack(young)) end
  if moved > 0 then call('HDEL', base .. 'live:old', unpack(old)) end
  if ordered > 0 then call('RPUSH', base .. 'order', unpack(order)) end
  return replies, accepted, pushed + ordered
end
