#!lua flags=allow-oom
-- Says that a process lives, and forgets those that have been silent for long.
--
-- KEYS[1]  {namespace}:processes
-- ARGV     1 the process   2 what it tells, '' if it ends   3 ms after which a silent process is forgotten
-- Reply    time of Redis, ms

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local process, told, forget = unpack(ARGV)
local known = redis.call('HGETALL', KEYS[1])
for at = 1, #known, 2 do
  local heard = tonumber(string.match(known[at + 1], '^%d+')) or 0
  if now - heard > tonumber(forget) then redis.call('HDEL', KEYS[1], known[at]) end
end
if told == '' then
  redis.call('HDEL', KEYS[1], process)
else
  redis.call('HSET', KEYS[1], process, string.format('%.0f', now) .. ' ' .. told)
end
return now
