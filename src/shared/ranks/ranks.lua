#!lua flags=no-writes
-- Reads the boards of a ranked name: of all partitions in one call, a snapshot, or on a Cluster of one.
-- Order: the highest score first, then the lower partition, then the key, the greater bytes first.
--
-- KEYS     {namespace:partition}:state of each partition; on a Cluster one, and then its other keys
-- ARGV     1 deployment   2 board: kind and name   3 action   4 most members of each partition
--          5 place of this key among KEYS, 0 if its score is given   6 score   7 partition   8 key
--          9 how many partitions   then their numbers; then for `ranks` and `percentiles` two for each key: its
--          place among KEYS and itself, or 0 and its score
--          ranks        how many scores are greater than that of each key
--          percentiles  also how many are lower
--          top          the first members after the given one; the first of all if the partition is ''
--          around       members before and after the given one
-- Reply    error FOREIGN if a state is another deployment's; else
--          { scores: '-' if the key is not on the board: of each key, or of the one key of `around`;
--            for each partition { status, size, ... }: status 0 without a board, 1 if it may be wrong, 2 exact;
--              ranks        greater scores for each key   percentiles  greater and lower scores for each key
--              top          members before the first one, greater scores than the given one, members and scores
--              around       members before the given one, { members and scores before it }, { and after it },
--                           greater scores than that of the first member of the answer }

--!include foreign
local deployment, board, action, count = unpack(ARGV, 1, 4)
local ownPlace, score, partition, key = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7]), ARGV[8]
local size = tonumber(ARGV[9])
count = tonumber(count)

local scores, statuses = {}, {}
-- Finds the board of a partition, and whether it is right. Returns an error if the state is another deployment's.
local function find(stateKey, at)
  local base = string.sub(stateKey, 1, -6)
  --!read state from stateKey
  if state.epoch ~= '' and state.deployment ~= deployment then return redis.error_reply(FOREIGN) end
  scores[at], statuses[at] = base .. 'ranks:' .. board, 0
  for name, phase, _, kept, epoch in string.gmatch(state.boards, '(%S+) (%S+) (%S+) (%S+) (%S+)') do
    if name == board and kept == '1' then
      local isReady = phase == 'ready' and epoch == state.epoch
      statuses[at] = isReady and redis.call('EXISTS', base .. 'ranksNoted:' .. board) == 0 and 2 or 1
    end
  end
end
for at = 1, size do
  local foreign = find(KEYS[at], at)
  if foreign then return foreign end
end

local function greater(at, than)
  if type(than) == 'number' then than = string.format('%d', than) end
  return redis.call('ZCOUNT', scores[at], '(' .. than, '+inf')
end
-- Whether one text is before another in bytes. Lua's `<` depends on the server's locale.
local function isLess(one, other)
  for at = 1, math.min(#one, #other) do
    local a, b = string.byte(one, at), string.byte(other, at)
    if a ~= b then return a < b end
  end
  return #one < #other
end
-- How many members of a partition stand before the given one, which may have left the board.
local function before(at)
  local number = tonumber(ARGV[9 + at])
  if number > partition then return greater(at, score) end
  if number < partition then return redis.call('ZCOUNT', scores[at], score, '+inf') end
  if tonumber(redis.call('ZSCORE', scores[at], key) or '') == tonumber(score) then
    return redis.call('ZREVRANK', scores[at], key), true
  end
  local from, to = greater(at, score), redis.call('ZCOUNT', scores[at], score, '+inf')
  while from < to do
    local middle = math.floor((from + to) / 2)
    if isLess(key, redis.call('ZREVRANGE', scores[at], middle, middle)[1]) then from = middle + 1 else to = middle end
  end
  return from, false
end
local function members(at, from, to)
  if to < from then return {} end
  return redis.call('ZREVRANGE', scores[at], from, to, 'WITHSCORES')
end

local found, views = {}, {}
local function scoreOf(place, text)
  if place == 0 then return text end
  return redis.call('ZSCORE', scores[place], text) or '-'
end
for at = 1, size do views[at] = { statuses[at], redis.call('ZCARD', scores[at]) } end
-- Puts the members of each partition from `firsts` on into its view, so that the first `count` of all are among
-- them. A partition's share is read first, and the rest only of one whose share may not be enough: to read `count`
-- of each took 16 partitions three times as long.
local function firstOfAll(firsts)
  local share = size == 1 and count or math.min(count, math.ceil(2 * count / size) + 4)
  local best = {}
  for at, view in ipairs(views) do
    view[5] = members(at, firsts[at], firsts[at] + share - 1)
    for place = 2, #view[5], 2 do best[#best + 1] = tonumber(view[5][place]) end
  end
  if share == count then return end
  table.sort(best)
  local least = best[#best - count + 1]
  for at, view in ipairs(views) do
    local shown = view[5]
    -- An equal score may stand before one of another partition.
    if #shown == 2 * share and (not least or tonumber(shown[#shown]) >= least) then
      for _, text in ipairs(members(at, firsts[at] + share, firsts[at] + count - 1)) do shown[#shown + 1] = text end
    end
  end
end
if action == 'top' then
  local firsts = {}
  for at, view in ipairs(views) do
    view[3], view[4] = 0, 0
    if partition then
      local position, isThere = before(at)
      view[3], view[4] = isThere and position + 1 or position, greater(at, score)
    end
    firsts[at] = view[3]
  end
  firstOfAll(firsts)
elseif action == 'around' then
  score = scoreOf(ownPlace, ownPlace == 0 and score or key)
  found[1] = score
  if score ~= '-' then
    local nearest = {}
    for at, view in ipairs(views) do
      local position, isThere = before(at)
      local next = isThere and position + 1 or position
      view[3] = position
      view[4], view[5] = members(at, math.max(0, position - count), position - 1), members(at, next, next + count - 1)
      for place = 2, #view[4], 2 do nearest[#nearest + 1] = tonumber(view[4][place]) end
    end
    -- The answer begins as many members before the given one as there are, `count` at most.
    table.sort(nearest)
    local first = count > 0 and #nearest > 0 and nearest[math.min(count, #nearest)] or score
    for at, view in ipairs(views) do view[6] = greater(at, first) end
  end
else
  for at = 10 + size, #ARGV, 2 do
    local one = scoreOf(tonumber(ARGV[at]), ARGV[at + 1])
    found[#found + 1] = one
    for place, view in ipairs(views) do
      if one == '-' then
        view[#view + 1] = 0
        if action == 'percentiles' then view[#view + 1] = 0 end
      else
        view[#view + 1] = greater(place, one)
        if action == 'percentiles' then view[#view + 1] = redis.call('ZCOUNT', scores[place], '-inf', '(' .. one) end
      end
    end
  end
end
return { found, views }
