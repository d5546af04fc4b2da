#!lua flags=no-writes
-- Finds entries of one account, by the start of their payloads, among those that are not acknowledged yet, and what is
-- remembered of an id. It walks the account's chain from the newest entry, and no further than it is told.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 deployment   2 item 'program:account'   3 id   4 most entries to look at
--          then the starts of payloads: of the entry, of the begin of a hold, of its end
-- Reply    { 'absent' } no state of this deployment and format; else
--          { sequence of the batch claimed last, its token ('' if none is in flight), 1 if older entries were not
--            looked at, 1 each if the id is remembered as an entry's, a hold's, the end of a hold,
--            { which payload, 1 if its batch is claimed, record, ... } }

--!include base
--!include int
--!include id-name
--!include hold-names
local deployment, item, id, most = unpack(ARGV, 1, 4)
--!read state
if state.epoch == '' or state.deployment ~= deployment then return { 'absent' } end
local head = redis.call('HGET', base .. 'accounts', item) or redis.call('HGET', base .. 'segment:accounts', item)
local number = tonumber(head and string.match(head, ' (%S+)$') or -1)
local field = #item .. ':' .. item
local found, steps = {}, 0
while number >= state.entryAcked and steps < tonumber(most) do
  steps = steps + 1
  local record = redis.call('HGET', base .. 'entries', int(number))
  local position = record and select(2, string.find(record, '^%d+ %d+ %S+ %S+ '))
  -- If Redis was emptied, numbers start again.
  if not position or string.sub(record, position + 1, position + #field) ~= field then break end
  for which = 5, #ARGV do
    local start = position + #field + 1
    if string.sub(record, start, start + #ARGV[which] - 1) == ARGV[which] then
      found[#found + 1] = which - 5
      found[#found + 1] = number < state.entryClaimed and 1 or 0
      found[#found + 1] = record
    end
  end
  number = tonumber(string.match(record, '^%d+ (%d+)'))
end
local function remembers(name) return redis.call('HEXISTS', base .. 'ids', name) end
return {
  state.sequence, state.token, number >= state.entryAcked and steps >= tonumber(most) and 1 or 0,
  remembers(idName('p', item, id)), remembers(heldName(item, id)), remembers(endName(item, id)), found,
}
