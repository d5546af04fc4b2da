-- Decides what a caller does to a hold. Records of holds: `n` no such hold; `o50/1700000000000` open, with its amount and
-- the time of its end, ms, 0 for never; `p50/30` posted, with how much of it; `v50/0` voided; `e50/0` expired.
-- Needs `now`, `int`, `idName`.
--!include hold-names

-- What an accepted action writes: the entry's amounts, the record, and the name in `ids`.
local function holdEntry(name, letter, balance, held, record)
  return { name = name, balance = balance, held = held, record = record, amount = int(balance) .. '/' .. int(held) .. letter }
end
local function endOf(item, id, letter, size, posted)
  return holdEntry(endName(item, id), letter, -posted, -size, letter .. int(size) .. '/' .. int(posted))
end

-- `action` is 'h', 'p' or 'v'; `amount` of a post is 0 for all of the hold. Returns what to write, or nil; and the reply
-- if it is refused or a duplicate (`d`). Both if the hold is past its time: its expiry is written, the action refused.
local function decideHold(record, item, id, action, amount, expiresInMs)
  local state, size, more = string.match(record, '^(%a)(%d*)/?(%d*)$')
  size, more = tonumber(size), tonumber(more)
  if action == 'h' then
    if state ~= 'n' then return nil, size == amount and 'd' or 'r' end
    local expires = expiresInMs > 0 and int(now + expiresInMs) or '0'
    local text = int(amount) .. '/' .. expires
    local entry = holdEntry(heldName(item, id), 'h', 0, amount, 'o' .. text)
    entry.amount = entry.amount .. expires
    return entry
  end
  if state == 'n' then return nil, 'hn' end
  if state ~= 'o' then
    local isSame = state == action and (action == 'v' or more == (amount == 0 and size or amount))
    return nil, isSame and 'd' or 'h' .. state .. int(more)
  end
  if more > 0 and more <= now then return endOf(item, id, 'e', size, 0), 'he0' end
  if action == 'v' then return endOf(item, id, 'v', size, 0) end
  local posted = amount == 0 and size or amount
  if posted > size then return nil, 'hm' .. int(size) end
  return endOf(item, id, 'p', size, posted)
end
