#!lua flags=allow-oom
-- Reads live values, and moves those that are old to the young ones.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 deployment   then two for each key: kind, item
-- Reply    error FOREIGN if the state is another deployment's; { 'absent' } without a state; else
--          { 'ok', value or '-' for each key }

--!include base
--!include foreign
--!include live
local deployment = ARGV[1]
--!read state
if state.epoch == '' then return { 'absent' } end
if state.deployment ~= deployment then return redis.error_reply(FOREIGN) end
local fields = {}
for at = 2, #ARGV, 2 do fields[at / 2] = ARGV[at] .. ARGV[at + 1] end
local values, isOld = findLive(fields)
local reply, young, old = { 'ok' }, {}, {}
for position = 1, #fields do
  reply[position + 1] = values[position] or '-'
  if isOld and isOld[position] then
    young[#young + 1], young[#young + 2], old[#old + 1] = fields[position], values[position], fields[position]
  end
end
if isOld then
  redis.call('HSET', base .. 'live:young', unpack(young))
  redis.call('HDEL', base .. 'live:old', unpack(old))
end
return reply
