#!lua flags=allow-oom
-- Lets the live values end that were not used since the last rotation: they are those of `live:old`. The
-- young ones become the old ones. A value stays at least for the live TTL after its last use, and at most
-- twice as long if workers call this often.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 deployment   2 live TTL, ms   3 ms by which the first rotation comes earlier, so that partitions
--          do not rotate at the same time
-- Reply    1 if it rotated, else 0

--!include base
--!include now
--!include int
--!include young
local deployment, liveTtlMs, early = unpack(ARGV)
--!read state
if state.epoch == '' or state.deployment ~= deployment then return 0 end
-- If the clock went back, the time begins anew.
local isFirst = state.rotated == 0 or state.rotated > now
if not isFirst and now < state.rotated + liveTtlMs then return 0 end
redis.call('HSET', KEYS[1], 'rotated', int(isFirst and now - early or now))
if isFirst then return 0 end
-- RENAME over a large hash would free it before Redis answers anybody else.
redis.call('UNLINK', base .. 'live:old')
-- One field is no value: see `beginYoung`.
if redis.call('HLEN', base .. 'live:young') > 1 then
  redis.call('RENAME', base .. 'live:young', base .. 'live:old')
  beginYoung()
end
return 1
