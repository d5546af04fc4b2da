-- Where the live value of a key is. Needs `base`.
local function liveKey(kind, epoch, item) return base .. kind .. ':' .. epoch .. ':' .. item end
