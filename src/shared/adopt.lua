#!lua flags=allow-oom
-- Creates a partition's state, or brings it up to the watermark, under a new epoch: live values under the old epoch
-- are never read again. Refuses where the epoch is not the one that the caller saw. What a state that is brought up has pending
-- may be in MySQL already: cold reads wait until it is acknowledged (`doubtful`).
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 epoch seen ('' for no state)   2 new epoch   3 sequence of the watermark
--          4 updates in the database, from which a new state goes on counting: who was answered more knows what is lost
--          5 deployment
-- Reply    error FOREIGN where the state is another deployment's; 1, also where this very call was made before; 0 where somebody else was faster

local state = redis.call('HMGET', KEYS[1], 'epoch', 'sequence', 'token', 'deployment', 'entryNext')
if state[1] and state[4] ~= ARGV[5] then return redis.error_reply('FOREIGN the partition belongs to another deployment') end
if state[1] == ARGV[2] then return 1 end
if (state[1] or '') ~= ARGV[1] then return 0 end
if not state[1] then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'sequence', ARGV[3], 'token', '', 'updates', ARGV[4], 'claimed', ARGV[4],
    'pushed', 0, 'popped', 0, 'poppedAcked', 0, 'entryNext', 1, 'entryClaimed', 1, 'entryAcked', 1, 'quarantined', 0,
    'flightUpdates', 0, 'flightOldest', 0, 'flightFrom', 0, 'flightTo', 0, 'segment', '', 'segmentStart', 0, 'segmentEnd', 0,
    'entrySegmentStart', 1, 'entrySegmentEnd', 1, 'ended', ARGV[2] .. ' ' .. ARGV[4] .. ' 0', 'deployment', ARGV[5])
  return 1
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[2])
if state[3] == '' and tonumber(state[2]) < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], 'sequence', ARGV[3], 'doubtful', state[5])
end
return 1
