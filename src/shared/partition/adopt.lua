#!lua flags=allow-oom
-- Creates a partition's state, or moves it to the watermark, under a new epoch: live values of the old epoch
-- end. Takes a state of format 4 over: from then on its name has the format, and scripts of that version
-- refuse it. Refuses if the epoch is not the one that the caller saw. If the state was behind, its
-- pending entries may be in MySQL already: cold reads wait until they are acknowledged (`doubtful`).
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 epoch seen ('' for no state)   2 new epoch   3 sequence of the watermark
--          4 updates in the database. A new state counts on from there, so a producer that saw a higher count
--            knows how many updates are lost
--          5 deployment
--          of a state of format 4, whose batch in flight a worker of that version must neither write nor
--          acknowledge any more: 6 another token for it   7 its token if MySQL has it, so that it is kept
-- Reply    error FOREIGN if the state is another deployment's; 1, also if this call is a repetition; 0 if
--          another process changed the epoch first

--!include base
--!include foreign
--!include new-epoch
local seen, epoch, sequence, updates, deployment, token, written = unpack(ARGV)
--!read state
local isFormer = state.deployment == string.match(deployment, FORMER)
if state.epoch ~= '' and state.deployment ~= deployment and not isFormer then return redis.error_reply(FOREIGN) end
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
redis.call('HSET', KEYS[1], 'epoch', epoch, 'deployment', deployment)
if isFormer and state.token ~= '' and state.token ~= written then redis.call('HSET', KEYS[1], 'token', token) end
if state.token == '' and state.sequence < tonumber(sequence) then
  redis.call('HSET', KEYS[1], 'sequence', sequence, 'doubtful', state.entryNext)
end
return 1
