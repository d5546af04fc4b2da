-- What the names of all keys of the partition begin with, and the name of its state ends with `state`.
local base = string.sub(KEYS[1], 1, -6)
