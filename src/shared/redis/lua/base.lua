-- Prefix of all keys of the partition: the state's key without `state`.
local base = string.sub(KEYS[1], 1, -6)
