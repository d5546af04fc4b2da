#!lua flags=no-writes
-- An account's entries that are not acknowledged yet, newest first, by the chain that each record points along.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 item 'program:account'   2 most entries   3 deployment
-- Reply    error FOREIGN where the state is another deployment's, else records as `claim` returns them

local base = string.sub(KEYS[1], 1, -6)
local head = redis.call('HGET', base .. 'accounts', ARGV[1]) or redis.call('HGET', base .. 'segment:accounts', ARGV[1])
local number = head and string.match(head, ' (%S+)$') or '0'
local state = redis.call('HMGET', KEYS[1], 'entryAcked', 'deployment')
if state[1] and state[2] ~= ARGV[3] then return redis.error_reply('FOREIGN the partition belongs to another deployment') end
local acked = tonumber(state[1] or 0)
local found = {}
while tonumber(number) >= acked and #found < tonumber(ARGV[2]) do
  local record = redis.call('HGET', base .. 'entries', number)
  if not record then break end
  found[#found + 1] = record
  number = string.match(record, '^%d+ (%d+)')
end
return found
