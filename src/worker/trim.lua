#!lua flags=allow-oom
-- Removes idempotency ids whose window has ended, or that are over the partition's limit, oldest first. Ids
-- of entries that are not in MySQL yet stay.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 most ids kept of each kind   2 most ids removed in this call
-- Reply    number of removed ids

--!include base
--!include now
local limit, left, forgotten = tonumber(ARGV[1]), tonumber(ARGV[2]), 0

local function forget(ids)
  for from = 1, #ids, 1000 do
    redis.call('HDEL', base .. 'ids', unpack(ids, from, math.min(#ids, from + 999)))
  end
  forgotten, left = forgotten + #ids, left - #ids
end

local length = redis.call('LLEN', base .. 'counterIds')
local expired = {}
while length > 0 and left > #expired do
  local head = redis.call('LINDEX', base .. 'counterIds', 0)
  local expires, id = string.match(head, '^(%d+) (.*)$')
  if tonumber(expires) > now and length <= limit then break end
  redis.call('LPOP', base .. 'counterIds')
  expired[#expired + 1], length = id, length - 1
end
forget(expired)

-- The head of entryIds belongs to entry number (entryNext - length). An element of idMarks has a time and the
-- number up to which ids may go then.
--!read state
if state.epoch == '' then return forgotten end
length = redis.call('LLEN', base .. 'entryIds')
local first = state.entryNext - length
local last = first
while true do
  local expiry = redis.call('LINDEX', base .. 'idMarks', 0)
  if not expiry then break end
  local expires, upTo = string.match(expiry, '^(%d+) (%d+)$')
  if tonumber(expires) > now then break end
  if upTo - first > left then
    last = first + left
    break
  end
  last = tonumber(upTo)
  redis.call('LPOP', base .. 'idMarks')
end
last = math.max(last, math.min(state.entryNext - limit, state.entryAcked, first + left))
local count = math.min(last - first, length)
if count > 0 then forget(redis.call('LPOP', base .. 'entryIds', count)) end
return forgotten
