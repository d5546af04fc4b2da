-- A name that no copy of this call gives to anything else. Needs `now`.
local function unique(name) return name .. string.format('.%x', clock[1] * 1000000 + clock[2]) end
