#!lua flags=allow-oom
-- Creates a partition's state, or moves it to the watermark, under a new epoch: live values of the old epoch
-- end. Refuses if the epoch is not the one that the caller saw. Pending entries may be in MySQL already, or end holds
-- that MySQL does not have: cold reads of accounts wait until they are acknowledged (`doubtful`).
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 epoch seen ('' for no state)   2 new epoch   3 sequence of the watermark
--          4 updates in the database. A new state counts on from there, so a producer that saw a higher count
--            knows how many updates are lost
--          5 deployment, with its format
-- Reply    error FOREIGN if the state is another deployment's; 1, also if this call is a repetition; 0 if
--          another process changed the epoch first

--!include base
--!include foreign
--!include new-epoch
local seen, epoch, sequence, updates, deployment = unpack(ARGV)
--!read state
if state.epoch ~= '' and state.deployment ~= deployment then return redis.error_reply(FOREIGN) end
if state.epoch == epoch then return 1 end
if state.epoch ~= seen then return 0 end
if state.epoch == '' then
  endLive()
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'sequence', sequence, 'token', '', 'updates', updates, 'claimed', updates,
    'pushed', 0, 'popped', 0, 'poppedAcked', 0, 'entryNext', 1, 'entryClaimed', 1, 'entryAcked', 1, 'quarantined', 0,
    'flightUpdates', 0, 'flightOldest', 0, 'flightFrom', 0, 'flightTo', 0, 'segment', '', 'segmentStart', 0, 'segmentEnd', 0,
    'entrySegmentStart', 1, 'entrySegmentEnd', 1, 'ended', epoch .. ' ' .. updates .. ' 0', 'deployment', deployment)
  return 1
end
endLive()
redis.call('HSET', KEYS[1], 'epoch', epoch, 'doubtful', state.entryNext)
if state.token == '' and state.sequence < tonumber(sequence) then redis.call('HSET', KEYS[1], 'sequence', sequence) end
return 1
