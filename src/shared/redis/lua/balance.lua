-- An account's two numbers as one text: `balance`, or `balance/held` if points are held. Amounts of entries and pending
-- sums have the same form. Needs `int`.
local function readBalance(text)
  local balance, held = string.match(text, '^([^/]+)/(.+)$')
  return tonumber(balance or text), tonumber(held or 0)
end
local function balanceText(balance, held) return held == 0 and int(balance) or int(balance) .. '/' .. int(held) end
