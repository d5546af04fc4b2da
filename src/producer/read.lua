#!lua flags=allow-oom
-- Reads live values and keeps them live for another TTL.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 live TTL, ms   2 deployment   then two for each key: kind c|p, item
-- Reply    error FOREIGN if the state is another deployment's; { 'absent' } without a state; else
--          { 'ok', value or '-' for each key }

--!include base
--!include foreign
--!include live-key
local liveTtlMs, deployment = unpack(ARGV, 1, 2)
--!read state
if state.epoch == '' then return { 'absent' } end
if state.deployment ~= deployment then return redis.error_reply(FOREIGN) end
local reply = { 'ok' }
for at = 3, #ARGV, 2 do
  reply[#reply + 1] = redis.call('GETEX', liveKey(ARGV[at], state.epoch, ARGV[at + 1]), 'PX', liveTtlMs) or '-'
end
return reply
