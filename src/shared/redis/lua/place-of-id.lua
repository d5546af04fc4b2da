-- The bucket of an id, if there are `whole` of them, a power of two. Needs `id`, which begins with a digest,
-- `whole` and `byte`.
local a, b, c, d = byte(id, 2, 5)
local place = (((a * 131 + b) * 131 + c) * 131 + d) % whole
