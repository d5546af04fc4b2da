-- Boards of ranks (docs/decisions/0026-ranks.md). Needs `base`.
-- The boards of this epoch, from the state's field `boards`. Called before a script's first write: the names of
-- boards are not declared, so a Cluster that moves the slot refuses the script here.
local function boardsOf(text, epoch)
  local boards = {}
  for board, phase, mapped, _, built in string.gmatch(text, '(%S+) (%S+) (%S+) (%S+) (%S+)') do
    if built == epoch then
      local scores = phase == 'ready' and base .. 'ranks:' .. board or base .. 'ranksNext:' .. board
      local noted = base .. 'ranksNoted:' .. board
      redis.call('EXISTS', scores, noted)
      -- Until the walk has ended, an absent key may have a value. In a mapped table it may have one at any time.
      local creates = mapped == '0' and (phase == 'ready' or phase == 'close')
      boards[board] = { phase = phase, scores = scores, noted = noted, creates = creates }
    end
  end
  return boards
end
-- The board of a live value's field, kind and item, if there is one, and the key.
local function boardOf(boards, field)
  local colon = string.find(field, ':', 1, true)
  local board = boards[string.sub(field, 1, colon - 1)]
  if board then return board, string.sub(field, colon + 1) end
end
-- Lets a worker read the key's score from the database.
local function noteOnBoard(boards, field)
  local board, key = boardOf(boards, field)
  if board then redis.call('SADD', board.noted, key) end
end
