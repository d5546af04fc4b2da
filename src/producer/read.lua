#!lua flags=allow-oom
-- Reads live values and keeps them live for another TTL.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 live TTL, ms   2 deployment   then two for each key: kind c|p, item
-- Reply    error FOREIGN where the state is another deployment's; { 'absent' } where the partition has no state, else { 'ok', value or '-' for each key }

local state = redis.call('HMGET', KEYS[1], 'epoch', 'deployment')
local epoch = state[1]
if not epoch then return { 'absent' } end
if state[2] ~= ARGV[2] then return redis.error_reply('FOREIGN the partition belongs to another deployment') end
local base = string.sub(KEYS[1], 1, -6)
local reply = { 'ok' }
for at = 3, #ARGV, 2 do
  local kind, item = ARGV[at], ARGV[at + 1]
  reply[#reply + 1] = redis.call('GETEX', base .. kind .. ':' .. epoch .. ':' .. item, 'PX', ARGV[1]) or '-'
end
return reply
