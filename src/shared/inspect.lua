#!lua flags=no-writes
-- What a partition holds, for the sweep, the metrics and `status`.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 deployment, '' for a tool that looks at any
-- Reply    error FOREIGN where the state is another deployment's; nil where the partition has no state, else { time, epoch, sequence, token, pending updates, pending keys (those of
--          a segment and those beside it), pending entries, updates in flight, acceptance time of the oldest update not acknowledged (0: none),
--          ended incarnations 'name kept lost ...' }

local base = string.sub(KEYS[1], 1, -6)
local state = redis.call('HMGET', KEYS[1], 'epoch', 'sequence', 'token', 'updates', 'claimed', 'entryNext',
  'entryClaimed', 'flightUpdates', 'flightOldest', 'ended', 'pushed', 'popped', 'segmentStart', 'segmentEnd', 'entrySegmentEnd',
  'deployment')
if not state[1] then return false end
if ARGV[1] ~= '' and state[16] ~= ARGV[1] then return redis.error_reply('FOREIGN the partition belongs to another deployment') end
local clock = redis.call('TIME')

local function int(number) return string.format('%.0f', number) end
local oldest = tonumber(state[9])
local function older(record)
  local time = record and tonumber(string.match(record, '^(%d+)'))
  if time and (oldest == 0 or time < oldest) then oldest = time end
end
if tonumber(state[12]) < tonumber(state[14]) then
  older(redis.call('LINDEX', base .. 'segment:order', int(state[12] - state[13])))
else
  older(redis.call('LINDEX', base .. 'order', 0))
end
older(redis.call('HGET', base .. 'entries', state[7]))

local accounts = redis.call('HLEN', base .. 'accounts')
if tonumber(state[7]) < tonumber(state[15]) then accounts = accounts + redis.call('HLEN', base .. 'segment:accounts') end

return {
  int(clock[1] * 1000 + math.floor(clock[2] / 1000)), state[1], state[2], state[3], int(state[4] - state[5]),
  int(state[11] - state[12] + accounts), int(state[6] - state[7]),
  state[8], int(oldest), state[10] or '',
}
