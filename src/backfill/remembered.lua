#!lua flags=no-writes
-- Which ids of counters a partition remembers, for a backfill that was interrupted.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 deployment
-- Reply    nil without a state of this deployment and format, else
--          { time, epoch, number of the oldest remembered slice of ids, number of the open slice, sequence, token }

--!include base
--!include now
--!include counter-ids
--!read state
if state.epoch == '' or state.deployment ~= ARGV[1] then return false end
local head = readHead()
return { now, state.epoch, head.first, head.last, state.sequence, state.token }
