-- Values that are kept instead of summed (docs/decisions/0028-values.md): kind '>' keeps the greatest put, '<' the least,
-- '=' the last. Their texts are `value`, or for '=' `value@version`. `~` is a live key without a value.
local function isKept(kind) return kind == '>' or kind == '<' or kind == '=' end
local function versionOf(text) return tonumber(string.match(text, '@(%d+)$')) end
local function valueOf(text) return string.match(text, '^[^@]+') end
-- Which of two values is kept; nil, false and `~` are none.
local function kept(kind, one, other)
  if not one or one == '~' then return other end
  if not other or other == '~' then return one end
  local a, b
  if kind == '=' then a, b = versionOf(one), versionOf(other) end
  -- The same version, for which see replaces in kept-value.ts, or none.
  if a == b then a, b = tonumber(valueOf(one)), tonumber(valueOf(other)) end
  if kind == '<' then return b < a and other or one end
  return b > a and other or one
end
