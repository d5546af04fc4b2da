-- The name of an id of an entry or an amendment in the hash `ids`.
local function idName(kind, item, id) return kind .. #item .. ':' .. item .. id end
