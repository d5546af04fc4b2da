-- Remembered ids of counters (docs/decisions/0022-ids-of-counters.md). An id stands in a bucket, a field of the
-- hash `counterIds`: `<digest><slice> <answer>`, the oldest first. A slice numbers ids that were accepted one
-- after another. Slices before `first` are forgotten: their ids leave a bucket when it is written, or by
-- `trim.lua`. `kept` counts the remembered ids, `stored` those that stand in buckets. Needs `base`.
local function readHead()
  local text = redis.call('HGET', base .. 'counterIds', '') or '[0,0,0,0,0,0,32,0]'
  local first, last, kept, stored, open, expires, buckets, cursor = unpack(cjson.decode(text))
  return {
    first = first, last = last, kept = kept, stored = stored, open = open, expires = expires, buckets = buckets,
    cursor = cursor,
  }
end
local function headText(head)
  return string.format('[%d,%d,%d,%d,%d,%d,%d,%d]', head.first, head.last, head.kept, head.stored, head.open,
    head.expires, head.buckets, head.cursor)
end
-- Returns the bucket without forgotten ids, and their number.
local function withoutForgotten(bucket, first)
  local SLICE, match = 16, string.match
  local at, gone, slice = SLICE, 0, match(bucket, '^%d+', SLICE)
  while slice and tonumber(slice) < first do
    at, gone = match(bucket, '^[^;]*()', at) + SLICE - 1, gone + 1
    slice = match(bucket, '^%d+', at)
  end
  return gone > 0 and string.sub(bucket, at - SLICE + 1) or bucket, gone
end
-- Forgets the oldest slice and returns true, or returns false if there is only the open one.
local function forgetSlice(head)
  local oldest = redis.call('LPOP', base .. 'counterIdSlices')
  if not oldest then return false end
  head.first, head.kept = head.first + 1, head.kept - string.match(oldest, ' (%d+)$')
  return true
end
