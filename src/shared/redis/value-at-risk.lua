#!lua flags=no-writes
-- Points of a partition that are pending or in flight, by program: the sum of each account's net change
-- without sign. If there are more accounts than the limit, a random sample of them is scaled up.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 most accounts read of the pending ones and of the segment
-- Reply    two for each program: name, points

--!include base
local limit = tonumber(ARGV[1])
local sums = {}
-- The acknowledged part of a segment is not at risk: it is estimated by its share of the entries.
--!read state
local start, stop = state.entrySegmentStart, state.entrySegmentEnd
local left = (stop - math.max(state.entryAcked, start)) / math.max(1, stop - start)
for hash, share in pairs({ [base .. 'accounts'] = 1, [base .. 'segment:accounts'] = math.max(0, left) }) do
  local size = redis.call('HLEN', hash)
  local scale, found = share, {}
  if size > limit then
    scale, found = share * size / limit, redis.call('HRANDFIELD', hash, limit, 'WITHVALUES')
  elseif size > 0 then
    found = redis.call('HGETALL', hash)
  end
  for at = 1, #found, 2 do
    -- An item that starts with '!' is a counter's amendment.
    local program = string.match(found[at], '^([^!:][^:]*):')
    local net = program and tonumber(string.match(found[at + 1], '^(-?%d+)'))
    if net then sums[program] = (sums[program] or 0) + math.abs(net) * scale end
  end
end
local reply = {}
for program, sum in pairs(sums) do
  reply[#reply + 1] = program
  reply[#reply + 1] = string.format('%.0f', sum)
end
return reply
