-- A whole number as text. By default Lua writes large ones with an exponent.
local function int(number) return string.format('%d', number) end
