-- Boards of ranks (docs/decisions/0026-ranks.md). Needs `base`.
-- The boards of this epoch by kind and name, from the state's field `boards`. Called before a script's first write: the names of
-- boards are not declared, so a Cluster that moves the slot refuses the script here.
local function boardsOf(text, epoch)
  local boards = { c = {}, p = {}, ['>'] = {}, ['<'] = {}, ['='] = {} }
  for board, phase, mapped, _, built in string.gmatch(text, '(%S+) (%S+) (%S+) (%S+) (%S+)') do
    if built == epoch then
      local scores = phase == 'ready' and base .. 'ranks:' .. board or base .. 'ranksNext:' .. board
      local noted = base .. 'ranksNoted:' .. board
      redis.call('EXISTS', scores, noted)
      -- Until the walk has ended, an absent key may have a value. In a mapped table it may have one at any time.
      local creates = mapped == '0' and (phase == 'ready' or phase == 'close')
      boards[string.sub(board, 1, 1)][string.sub(board, 2)] = { phase = phase, scores = scores, noted = noted, creates = creates }
    end
  end
  return boards
end
-- The board of an item, if there is one, and the key.
local function boardOf(boards, kind, item)
  local colon = string.find(item, ':', 1, true)
  local named = boards[kind]
  -- Records of holds have no board.
  local board = named and named[string.sub(item, 1, colon - 1)]
  if board then return board, string.sub(item, colon + 1) end
end
-- Lets a worker read the key's score from the database.
local function noteOnBoard(boards, kind, item)
  local board, key = boardOf(boards, kind, item)
  if board then redis.call('SADD', board.noted, key) end
end
