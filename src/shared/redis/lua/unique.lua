-- Makes a name unique by the time: a repetition of this call gets another name. Needs `now`.
local function unique(name) return name .. string.format('.%x', clock[1] * 1000000 + clock[2]) end
