#!lua flags=allow-oom
-- Gives the batch in flight a new sequence number, and the partition a new epoch, after Redis was found to have gone
-- back in time. The batch keeps its token, so that whoever committed it can still be recognised. What is pending or in flight
-- then may be in MySQL already: cold reads wait until it is acknowledged (`doubtful`).
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 token   2 sequence that the caller saw   3 new sequence   4 new epoch
-- Reply    1, also where this very call was made before; 0 where the token is not in flight under that sequence any more

local state = redis.call('HMGET', KEYS[1], 'token', 'sequence', 'epoch', 'entryNext')
if state[1] ~= ARGV[1] then return 0 end
if state[3] == ARGV[4] then return 1 end
if state[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'sequence', ARGV[3], 'epoch', ARGV[4])
if ARGV[3] ~= ARGV[2] then redis.call('HSET', KEYS[1], 'doubtful', state[4]) end
return 1
