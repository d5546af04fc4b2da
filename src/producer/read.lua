#!lua flags=allow-oom
-- Reads live values and keeps them live for another TTL.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 live TTL, ms, then two for each key: kind c|p, item
-- Reply    { 'absent' } where the partition has no state, else { 'ok', value or '-' for each key }

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then return { 'absent' } end
local base = string.sub(KEYS[1], 1, -6)
local reply = { 'ok' }
for at = 2, #ARGV, 2 do
  reply[#reply + 1] = redis.call('GETEX', base .. ARGV[at] .. ':' .. epoch .. ':' .. ARGV[at + 1], 'PX', ARGV[1]) or '-'
end
return reply
