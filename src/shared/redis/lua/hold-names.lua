-- Names of a hold (docs/decisions/0029-holds.md). `item` is its account. Needs `idName`.
-- Its record is live under this field.
local function holdField(item, id) return idName('h', item, id) end
-- In `ids`: the hold itself, and any end of it.
local function heldName(item, id) return idName('p', item, '\0\2' .. id) end
local function endName(item, id) return idName('p', item, '\0\1' .. id) end
