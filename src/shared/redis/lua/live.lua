-- Live values: fields, kind and item, of two hashes. A value is in `live:young` or in `live:old`, never in
-- both: a use moves it to young, and what removes one removes it from both. All belong to the state's epoch,
-- since each script that sets an epoch unlinks both hashes (new-epoch.lua). Needs `base`.
-- Whether there are any: to ask spares calls for those of each key.
local function hasLive() return redis.call('EXISTS', base .. 'live:young', base .. 'live:old') > 0 end
-- Returns their values, false where there is none, and a table of the positions found in `live:old`, if any.
local function findLive(fields)
  local values = redis.call('HMGET', base .. 'live:young', unpack(fields))
  local missing, positions, count, isOld = {}, {}, 0, nil
  for position = 1, #fields do
    if not values[position] then
      count = count + 1
      missing[count], positions[count] = fields[position], position
    end
  end
  if count == 0 then return values end
  for at, value in ipairs(redis.call('HMGET', base .. 'live:old', unpack(missing))) do
    if value then
      isOld = isOld or {}
      values[positions[at]], isOld[positions[at]] = value, true
    end
  end
  return values, isOld
end
