-- Acceptance time, ms, of the oldest update not acknowledged; 0 if none. Needs `base`, `int`, `state`.
local function oldest()
  local found = state.flightOldest
  local function older(text)
    local time = text and tonumber(string.match(text, '^(%d+)'))
    if time and (found == 0 or time < found) then found = time end
  end
  if state.popped < state.segmentEnd then
    older(redis.call('LINDEX', base .. 'segment:order', int(state.popped - state.segmentStart)))
  else
    older(redis.call('LINDEX', base .. 'order', 0))
  end
  older(redis.call('HGET', base .. 'entries', int(state.entryClaimed)))
  return found
end
