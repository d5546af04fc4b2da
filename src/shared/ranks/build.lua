#!lua
-- Builds the board of a ranked name in a partition, step by step (docs/decisions/0026-ranks.md).
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 action   2 deployment   3 board: kind and name
--          look     tells how far the board is, and begins the walk once the mark is reached
--          begin    4 1 if the values are in a mapped table   5 1 to build a board that is ready once more
--          page     4 epoch, 5 sequence, 6 token of the watermark   7 cursor before this page, 8 after it; '' at
--                   the end of the walk   9 name of the build   then two for each key: key, value in MySQL plus
--                   quarantined sum, as load.lua takes it
--          noted    4 to 6 as `page`   then the same two for each noted key
--          drop     removes the board
-- Reply    { 'absent' } no state of this deployment and format
--          { 'epoch', epoch here }, { 'again', 'behind' or 'ahead' } as load.lua
--          { 'moved' } another build, cursor or phase; else
--          { 'ok', phase ('none' without a board of this epoch), 1 if an older board answers, noted keys left
--            until the swap, members written, noted keys, ms since the build went on, cursor, name of the build }
--
-- A repeated call finds another cursor, or keys that are no longer noted, and otherwise writes what is right now.

--!include base
--!include int
--!include now
--!include fits-watermark
--!include kept
local action, deployment, board = unpack(ARGV, 1, 3)
--!read state
if state.epoch == '' or state.deployment ~= deployment then return { 'absent' } end
local scores, fresh, noted = base .. 'ranks:' .. board, base .. 'ranksNext:' .. board, base .. 'ranksNoted:' .. board
-- Their names are not declared: a Cluster that moves the slot refuses the script here.
redis.call('EXISTS', scores, fresh, noted)

local others, mine = {}, { phase = 'none', mapped = '0', kept = '0', epoch = '' }
for name, phase, mapped, kept, epoch in string.gmatch(state.boards, '(%S+) (%S+) (%S+) (%S+) (%S+)') do
  if name == board then mine = { phase = phase, mapped = mapped, kept = kept, epoch = epoch }
  else others[#others + 1] = table.concat({ name, phase, mapped, kept, epoch }, ' ') end
end
if mine.epoch ~= state.epoch then mine.phase = 'none' end
local build = { pushed = 0, entryNext = 0, left = 0, members = 0, time = now, name = '', cursor = '' }
local found = redis.call('HGET', base .. 'ranksBuild', board)
if found then
  local pushed, entryNext, left, members, time, name, cursor =
    string.match(found, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%S+) (.*)$')
  build = {
    pushed = tonumber(pushed), entryNext = tonumber(entryNext), left = tonumber(left), members = tonumber(members),
    time = tonumber(time), name = name, cursor = cursor,
  }
end

local function saveBoards(entry)
  local all = { unpack(others) }
  all[#all + 1] = entry
  redis.call('HSET', KEYS[1], 'boards', table.concat(all, ' '))
end
local function save()
  saveBoards(table.concat({ board, mine.phase, mine.mapped, mine.kept, mine.epoch }, ' '))
  if mine.phase == 'ready' then return redis.call('HDEL', base .. 'ranksBuild', board) end
  build.time = now
  redis.call('HSET', base .. 'ranksBuild', board, string.format('%d %d %d %d %d %s ', build.pushed, build.entryNext,
    build.left, build.members, now, build.name) .. build.cursor)
end
local function isMarkReached()
  -- Without a batch in flight, everything that was claimed is acknowledged or discarded.
  local isIdle = state.token == ''
  local counters, entries = isIdle and state.popped or state.poppedAcked, isIdle and state.entryClaimed or state.entryAcked
  return counters >= build.pushed and entries >= build.entryNext
end
local function swap()
  redis.call('UNLINK', scores)
  if redis.call('EXISTS', fresh) == 1 then redis.call('RENAME', fresh, scores) end
  mine.phase, mine.kept = 'ready', '1'
end
-- Writes the scores of these keys, and notes those whose values are not known now.
local function write(target, from, isWanted)
  local _, withFlight = fitsWatermark(state, ARGV[4], tonumber(ARGV[5]), ARGV[6])
  --!include expected
  local SAFE, added, read, absent, unknown = 9007199254740991, {}, {}, {}, {}
  local kind, name = string.sub(board, 1, 1), string.sub(board, 2) .. ':'
  for at = from, #ARGV, 2 do
    local key, given = ARGV[at], ARGV[at + 1]
    if isWanted(key) then
      local expected = expectedOf(kind, name .. key, given)
      local number = expected and tonumber(isKept(kind) and valueOf(expected) or expected)
      if expected == '~' then
        absent[#absent + 1] = key
      elseif number and math.abs(number) <= SAFE then
        added[#added + 1], added[#added + 2], read[#read + 1] = int(number), key, key
      else
        unknown[#unknown + 1] = key
      end
    end
  end
  if #read > 0 then
    redis.call('ZADD', target, unpack(added))
    redis.call('SREM', noted, unpack(read))
  end
  if #absent > 0 then
    redis.call('ZREM', target, unpack(absent))
    redis.call('SREM', noted, unpack(absent))
  end
  if #unknown > 0 then redis.call('SADD', noted, unpack(unknown)) end
  build.members = build.members + #read
end

if action == 'drop' then
  redis.call('UNLINK', scores, fresh, noted)
  redis.call('HDEL', base .. 'ranksBuild', board)
  saveBoards(nil)
  mine = { phase = 'none', kept = '0' }
elseif action == 'begin' then
  if mine.phase == 'none' or (ARGV[5] == '1' and mine.phase == 'ready') then
    redis.call('UNLINK', fresh, noted)
    mine.phase, mine.mapped, mine.epoch = 'wait', ARGV[4], state.epoch
    build = { pushed = state.pushed, entryNext = state.entryNext, left = 0, members = 0, cursor = 'q' }
    -- A page belongs to one build: its keys were listed after the begin, when the table had all below the mark.
    build.name = string.format('%x', clock[1] * 1000000 + clock[2])
    save()
  end
elseif action ~= 'look' then
  local unfit = fitsWatermark(state, ARGV[4], tonumber(ARGV[5]), ARGV[6])
  if unfit then return unfit end
  local isPage, phase = action == 'page', mine.phase
  if isPage and (phase ~= 'walk' or build.cursor ~= ARGV[7] or build.name ~= ARGV[9]) then return { 'moved' } end
  if not isPage and phase ~= 'close' and phase ~= 'ready' then return { 'moved' } end
  if isPage then
    write(fresh, 10, function() return true end)
    build.cursor = ARGV[8]
    -- From now on an absent key has no value: what had one is on the next board or noted.
    if build.cursor == '' then mine.phase, build.left = 'close', redis.call('SCARD', noted) end
  else
    write(phase == 'ready' and scores or fresh, 7, function(key) return redis.call('SISMEMBER', noted, key) == 1 end)
    build.left = math.max(0, build.left - (#ARGV - 6) / 2)
  end
  if mine.phase == 'close' and (build.left == 0 or redis.call('SCARD', noted) == 0) then swap() end
  if phase ~= 'ready' then save() end
end
if mine.phase == 'wait' and isMarkReached() then
  mine.phase = 'walk'
  save()
end
return {
  'ok', mine.phase, tonumber(mine.kept), int(build.left), int(build.members), redis.call('SCARD', noted),
  math.max(0, now - build.time), build.cursor, build.name,
}
