#!lua flags=no-writes
-- A page of an account's entries that are not acknowledged yet, newest first, by their chain.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 item 'program:account'   2 most entries   3 most bytes of them; one entry may have more
--          4 number of the first entry, from the page before; '' for the newest   5 deployment
-- Reply    error FOREIGN if the state is another deployment's; else number of the next page's first entry,
--          '' if there is none, then records as claim.lua returns them

--!include base
--!include foreign
local item, mostEntries, mostBytes, number, deployment = unpack(ARGV)
--!read state
if state.epoch ~= '' and state.deployment ~= deployment then return redis.error_reply(FOREIGN) end
if number == '' then
  local head = redis.call('HGET', base .. 'accounts', item) or redis.call('HGET', base .. 'segment:accounts', item)
  number = head and string.match(head, ' (%S+)$') or '0'
end
local bytes, found = 0, { '' }
local field = #item .. ':' .. item
while tonumber(number) >= state.entryAcked do
  local record = redis.call('HGET', base .. 'entries', number)
  -- If Redis was emptied between two pages, numbers start again.
  local position = record and select(2, string.find(record, '^%d+ %d+ %S+ %S+ '))
  if not position or string.sub(record, position + 1, position + #field) ~= field then break end
  if #found > tonumber(mostEntries) or (#found > 1 and bytes + #record > tonumber(mostBytes)) then
    found[1] = number
    break
  end
  found[#found + 1] = record
  bytes = bytes + #record
  number = string.match(record, '^%d+ (%d+)')
end
return found
