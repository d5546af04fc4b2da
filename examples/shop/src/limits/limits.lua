-- Decides about a request, by the clock of this Redis, so that all processes agree. A script runs alone: nothing
-- comes between its look and its write. A refused request changes nothing.
-- KEYS[1]  state of the caller, with a time to live
-- ARGV     'sliding' or 'bucket', the limit, the window in microseconds
-- Returns  allowed (1 or 0), how many more are, and in microseconds: until there are more, until this one's turn
local key, limit, window = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- A list with the time of each allowed request in the window. Exact; it needs the memory of `limit` times.
local function sliding()
  local oldest = tonumber(redis.call('LINDEX', key, 0))
  while oldest and oldest <= now - window do
    redis.call('LPOP', key)
    oldest = tonumber(redis.call('LINDEX', key, 0))
  end
  local used = redis.call('LLEN', key)
  if used >= limit then return { 0, 0, oldest + window - now, 0 } end
  redis.call('RPUSH', key, now)
  redis.call('PEXPIRE', key, math.ceil(window / 1000))
  return { 1, limit - used - 1, (oldest or now) + window - now, 0 }
end

-- One number: when the bucket is at rest again. Each allowed request moves it on by one interval, and none may move
-- it further ahead than `limit` intervals. Whole numbers, so that nothing is rounded.
local function bucket()
  local interval = math.floor(window / limit)
  local turn = math.max(now, tonumber(redis.call('GET', key)) or 0)
  local rest = turn + interval
  local excess = rest - now - limit * interval
  if excess > 0 then return { 0, 0, excess, 0 } end
  redis.call('SET', key, rest, 'PX', math.ceil((rest - now) / 1000))
  local remaining = math.floor(limit - (rest - now) / interval)
  return { 1, remaining, rest - now - (limit - remaining - 1) * interval, turn - now }
end
return ARGV[1] == 'sliding' and sliding() or bucket()
