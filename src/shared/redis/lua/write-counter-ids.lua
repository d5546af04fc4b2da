-- How `apply.lua` finds and writes ids of counters. Needs `counter-ids`, `now`, `int`.
-- Buckets are added one by one: bucket `whole / 2 + n` takes half of the ids of bucket `n`. Here `whole` is the next
-- power of two. So an id whose bucket is not there yet is in the one with a number smaller by `whole / 2`.

-- Reads the buckets of these digests, and the answers of known ids into `ids`.
local function readCounterIds(digests, ids)
  local byte, find, match, head, whole = string.byte, string.find, string.match, readHead(), 2
  local buckets, first = head.buckets, head.first
  while whole < buckets do whole = 2 * whole end
  local places, texts, gone, numbers, size = {}, {}, {}, {}, 0
  for i = 1, #digests do
    local id = digests[i]
    --!include place-of-id
    if place >= buckets then place = place - whole / 2 end
    places[id] = place
    if not texts[place] then
      size = size + 1
      texts[place], numbers[size] = '', place
    end
  end
  local found = redis.call('HMGET', base .. 'counterIds', unpack(numbers))
  for i = 1, size do
    if found[i] then
      local text, count = withoutForgotten(found[i], first)
      texts[numbers[i]] = text
      if count > 0 then gone[numbers[i]] = count end
    end
  end
  for i = 1, #digests do
    local id = digests[i]
    local text = texts[places[id]]
    local _, stop = find(text, id, 1, true)
    if stop then ids[id] = match(text, '^%d+ ([^;]*)', stop + 1) end
  end
  return { head = head, whole = whole, places = places, texts = texts, gone = gone }
end

-- Adds accepted ids to their buckets and to slices, and forgets the oldest slices over the limit. An id goes into
-- the open slice if that expires after the id's window, and soon after it. Returns the changed buckets.
local function addCounterIds(known, digests, ids, limit, windowMs)
  local SLICES = 64
  local head, places, texts, gone, changed, closed = known.head, known.places, known.texts, known.gone, {}, {}
  local most, left = math.max(1, math.floor(limit / SLICES)), head.expires - now - windowMs
  local fits, slice = left >= 0 and left <= windowMs / SLICES, int(head.last) .. ' '
  for i = 1, #digests do
    if not fits or head.open >= most then
      if head.open > 0 then
        closed[#closed + 1] = int(head.expires) .. ' ' .. int(head.open)
        head.last, head.open = head.last + 1, 0
        slice = int(head.last) .. ' '
      end
      head.expires, fits = now + windowMs + math.floor(windowMs / SLICES), true
    end
    head.open = head.open + 1
    local id = digests[i]
    local place = places[id]
    if not changed[place] then changed[place], head.stored = true, head.stored - (gone[place] or 0) end
    texts[place] = texts[place] .. id .. slice .. ids[id]
  end
  head.kept, head.stored = head.kept + #digests, head.stored + #digests
  if #closed > 0 then redis.call('RPUSH', base .. 'counterIdSlices', unpack(closed)) end
  while head.kept > limit and forgetSlice(head) do end
  return changed
end

-- Adds buckets while there are more than PER_BUCKET ids for each.
local function splitBuckets(known, changed, most)
  local PER_BUCKET, byte, head, texts, whole = 8, string.byte, known.head, known.texts, known.whole
  while head.stored > PER_BUCKET * head.buckets and most > 0 do
    local new = head.buckets
    if new == whole then whole = 2 * whole end
    local from = new - whole / 2
    if not changed[from] then
      local text, gone = withoutForgotten(redis.call('HGET', base .. 'counterIds', from) or '', head.first)
      texts[from], changed[from], head.stored = text, true, head.stored - gone
    end
    local stay, move = {}, {}
    for id in string.gmatch(texts[from], ';[^;]*') do
      --!include place-of-id
      local part = place == from and stay or move
      part[#part + 1] = id
    end
    texts[from], texts[new], changed[new] = table.concat(stay), table.concat(move), true
    head.buckets, most = new + 1, most - 1
  end
end

local function writeCounterIds(known, digests, ids, limit, windowMs)
  local changed = addCounterIds(known, digests, ids, limit, windowMs)
  splitBuckets(known, changed, #digests / 4 + 1)
  local texts, written, size, empty = known.texts, { '', headText(known.head) }, 2, {}
  for place in pairs(changed) do
    if texts[place] == '' then empty[#empty + 1] = place
    else
      written[size + 1], written[size + 2], size = place, texts[place], size + 2
    end
  end
  redis.call('HSET', base .. 'counterIds', unpack(written))
  if #empty > 0 then redis.call('HDEL', base .. 'counterIds', unpack(empty)) end
end
