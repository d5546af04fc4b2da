-- The server's time: `now` in ms, `clock` in seconds and microseconds.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
