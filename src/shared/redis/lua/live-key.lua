-- The key of a live value. Needs `base`.
local function liveKey(kind, epoch, item) return base .. kind .. ':' .. epoch .. ':' .. item end
