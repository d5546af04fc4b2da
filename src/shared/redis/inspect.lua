#!lua flags=no-writes
-- The content of a partition, for the sweep, the metrics and `status`.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 deployment, '' for a tool that accepts any
-- Reply    error FOREIGN if the state is another deployment's; nil if the partition has no state; else
--          { time, epoch, sequence, token, pending updates, pending keys (a key in the segment and beside it
--            counts twice), pending entries, updates in flight, acceptance time of the oldest update not
--            acknowledged (0: none), ended incarnations 'name kept lost ...', updates accepted so far }

--!include base
--!include now
--!include int
--!include foreign
local deployment = ARGV[1]
--!read state
if state.epoch == '' then return false end
if deployment ~= '' and state.deployment ~= deployment then return redis.error_reply(FOREIGN) end

local accounts = redis.call('HLEN', base .. 'accounts')
if state.entryClaimed < state.entrySegmentEnd then accounts = accounts + redis.call('HLEN', base .. 'segment:accounts') end

--!include oldest
return {
  now, state.epoch, state.sequence, state.token, state.updates - state.claimed, state.pushed - state.popped + accounts,
  state.entryNext - state.entryClaimed, state.flightUpdates, oldest(), state.ended,
  state.updates,
}
