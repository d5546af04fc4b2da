#!lua flags=no-writes
-- A page of an account's entries that are not acknowledged yet, newest first, by the chain that each record points along.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 item 'program:account'   2 most entries   3 most bytes of them; one entry may have more
--          4 number of the entry to begin with, as the page before gave it; '' for the newest   5 deployment
-- Reply    error FOREIGN where the state is another deployment's; else number of the entry that comes next, '' where none
--          does, then records as `claim` returns them

local base = string.sub(KEYS[1], 1, -6)
local number = ARGV[4]
if number == '' then
  local head = redis.call('HGET', base .. 'accounts', ARGV[1]) or redis.call('HGET', base .. 'segment:accounts', ARGV[1])
  number = head and string.match(head, ' (%S+)$') or '0'
end
local state = redis.call('HMGET', KEYS[1], 'entryAcked', 'deployment')
if state[1] and state[2] ~= ARGV[5] then return redis.error_reply('FOREIGN the partition belongs to another deployment') end
local acked = tonumber(state[1] or 0)
local bytes, found = 0, { '' }
local item = #ARGV[1] .. ':' .. ARGV[1]
while tonumber(number) >= acked do
  local record = redis.call('HGET', base .. 'entries', number)
  -- Numbers begin anew in a Redis that was emptied between two pages.
  local place = record and select(2, string.find(record, '^%d+ %d+ %S+ %S+ '))
  if not place or string.sub(record, place + 1, place + #item) ~= item then break end
  if #found > tonumber(ARGV[2]) or (#found > 1 and bytes + #record > tonumber(ARGV[3])) then
    found[1] = number
    break
  end
  found[#found + 1] = record
  bytes = bytes + #record
  number = string.match(record, '^%d+ (%d+)')
end
return found
