-- A whole number as text; Lua by itself writes large ones with an exponent.
local function int(number) return string.format('%d', number) end
