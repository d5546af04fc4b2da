#!lua flags=allow-oom
-- Gives the batch in flight a new sequence number and the partition a new epoch, after Redis went back in
-- time. The batch keeps its token, so that a commit of it is still recognised. Entries that are pending or in
-- flight may be in MySQL already: cold reads wait until they are acknowledged (`doubtful`).
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 token   2 sequence that the caller saw   3 new sequence   4 new epoch
-- Reply    1, also for a repeated call; 0 if the token is no longer in flight with that sequence

--!include base
--!include new-epoch
local token, seen, sequence, epoch = unpack(ARGV)
--!read state
if state.token ~= token then return 0 end
if state.epoch == epoch then return 1 end
if state.sequence ~= tonumber(seen) then return 0 end
endLive()
redis.call('HSET', KEYS[1], 'sequence', sequence, 'epoch', epoch, 'doubtful', state.entryNext)
return 1
