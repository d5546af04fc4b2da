-- A field of `live:young` that is no item. Its value is so long that Redis never stores the hash as a list,
-- also after it has loaded it from its disk: a list is searched from its start for each field. Needs `base`.
local function beginYoung() redis.call('HSET', base .. 'live:young', '', string.rep(' ', 65)) end
