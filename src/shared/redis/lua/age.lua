-- How old the oldest update is. Needs `base`, `now`, `int`, `ageLimitMs`.
-- Age of the oldest update, ms.
local function ageOfOldest(state)
  --!include oldest
  local time = oldest()
  return time == 0 and 0 or math.max(0, now - time)
end

-- Whether the oldest update is older than the limit. Neither the batch in flight nor what is pending is older
-- than these two times, so the oldest update itself is rarely looked up.
local function isTooOld(state)
  local since = state.pendingSince
  if state.flightOldest > 0 and (since == 0 or state.flightOldest < since) then since = state.flightOldest end
  return ageLimitMs > 0 and since > 0 and now - since > ageLimitMs and ageOfOldest(state) > ageLimitMs
end
