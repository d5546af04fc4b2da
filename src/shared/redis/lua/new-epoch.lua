-- Before a new epoch is set: ends all live values, which belong to the old one. Needs `base`.
local function endLive() redis.call('UNLINK', base .. 'live:young', base .. 'live:old') end
