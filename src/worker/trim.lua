#!lua flags=allow-oom
-- Forgets ids whose window has ended, or that are over the partition's limit, oldest first. Ids of entries that
-- are not in MySQL yet stay. Ids of counters go slice by slice; if many forgotten ones still stand in buckets,
-- calls one after another walk through all buckets and remove them.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 most ids kept of each kind   2 most ids of entries removed in this call   3 buckets walked in it
-- Reply    1 if more is to be done at once; otherwise 0

--!include base
--!include now
--!include int
--!include counter-ids
local limit, most, step = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

-- The next buckets of a walk. Returns whether the walk goes on.
local function walk(head)
  local fields, written, empty = {}, {}, {}
  for place = head.cursor, math.min(head.buckets, head.cursor + step) - 1 do fields[#fields + 1] = int(place) end
  for at, text in ipairs(redis.call('HMGET', base .. 'counterIds', unpack(fields))) do
    local left, gone = withoutForgotten(text or '', head.first)
    head.stored = head.stored - gone
    if gone > 0 and left == '' then empty[#empty + 1] = fields[at]
    elseif gone > 0 then
      written[#written + 1], written[#written + 2] = fields[at], left
    end
  end
  if #empty > 0 then redis.call('HDEL', base .. 'counterIds', unpack(empty)) end
  if #written > 0 then redis.call('HSET', base .. 'counterIds', unpack(written)) end
  head.cursor = head.cursor + step < head.buckets and head.cursor + step or 0
  return head.cursor > 0
end

-- Returns whether more is to be done at once.
local function trimCounterIds()
  local head = readHead()
  if head.kept == 0 then return false end
  local before, goesOn = headText(head), false
  local function oldest()
    local slice = redis.call('LINDEX', base .. 'counterIdSlices', 0)
    return tonumber(slice and string.match(slice, '^%d+')) or head.expires
  end
  while (oldest() <= now or head.kept > limit) and forgetSlice(head) do end
  if oldest() <= now then
    redis.call('UNLINK', base .. 'counterIds', base .. 'counterIdSlices')
    return false
  end
  if head.cursor > 0 or head.stored > head.kept * 1.25 then goesOn = walk(head) end
  local after = headText(head)
  if after ~= before then redis.call('HSET', base .. 'counterIds', '', after) end
  return goesOn
end

-- The head of entryIds belongs to entry number (entryNext - length). An element of idMarks has a time and the
-- number up to which ids may go then. Returns the number of forgotten ids.
local function trimEntryIds()
  --!read state
  if state.epoch == '' then return 0 end
  local length = redis.call('LLEN', base .. 'entryIds')
  local first = state.entryNext - length
  local last = first
  while true do
    local expiry = redis.call('LINDEX', base .. 'idMarks', 0)
    if not expiry then break end
    local expires, upTo = string.match(expiry, '^(%d+) (%d+)$')
    if tonumber(expires) > now then break end
    if upTo - first > most then
      last = first + most
      break
    end
    last = tonumber(upTo)
    redis.call('LPOP', base .. 'idMarks')
  end
  last = math.max(last, math.min(state.entryNext - limit, state.entryAcked, first + most))
  local count = math.min(last - first, length)
  if count <= 0 then return 0 end
  local gone = redis.call('LPOP', base .. 'entryIds', count)
  for from = 1, count, 1000 do redis.call('HDEL', base .. 'ids', unpack(gone, from, math.min(count, from + 999))) end
  return count
end

local goesOn = trimCounterIds()
return (trimEntryIds() >= most or goesOn) and 1 or 0
