-- Which process of Redis a call has reached, and what was lost with earlier ones. Needs `now`, `int`.
local run
local function runId()
  run = run or string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
  return run
end

-- Finds the incarnation (a process of Redis, as this partition saw it) and updates lost with earlier ones. If
-- the process has changed, replication or the append-only file brought the state over: its count of updates
-- is what was kept of the ended incarnation. If a caller has a higher count of that incarnation, the
-- difference is lost. Returns the incarnation, the number of updates found lost, and new values for the
-- state, if any.
local function meet(stateKey, state, caller, callNumber, seen, seenUpdates)
  local ENDED = 8
  local run = runId()
  local incarnation, lost, isChanged = state.incarnation, 0, false
  local wentBack = seen == incarnation and seenUpdates > state.updates
  local isKnown = run == state.run and incarnation ~= '' and not wentBack
  if isKnown and (seen == incarnation or seen == '') then return incarnation, 0 end

  local ended = {}
  local before = redis.call('HGET', stateKey, 'ended') or ''
  for name, kept, known in string.gmatch(before, '(%S+) (%S+) (%S+)') do
    ended[#ended + 1] = { name = name, kept = tonumber(kept), lost = tonumber(known) }
  end
  if not isKnown then
    if incarnation ~= '' then table.insert(ended, 1, { name = incarnation, kept = state.updates, lost = 0 }) end
    ended[ENDED + 1] = nil
    --!include unique
    incarnation, isChanged = unique(caller .. '.' .. callNumber), true
  end
  if seen ~= '' and seen ~= incarnation and #ended > 0 then
    -- If the state does not know it, its record was lost too: no more was kept than of the newest one.
    local last = ended[1]
    for _, one in ipairs(ended) do
      if one.name == seen then last = one end
    end
    local excess = seenUpdates - last.kept
    if excess > last.lost then
      lost, last.lost, isChanged = excess - last.lost, excess, true
    end
  end
  if not isChanged then return incarnation, lost end
  for i, one in ipairs(ended) do ended[i] = one.name .. ' ' .. int(one.kept) .. ' ' .. int(one.lost) end
  return incarnation, lost, { run = run, ended = table.concat(ended, ' ') }
end
