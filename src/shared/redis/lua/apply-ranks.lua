-- Chapter of apply.lua.

-- Finds the boards of ranked names. Returns a function that adds accepted updates to them. Called only if the
-- partition has boards: its parts cost nothing without.
local function ranking(text, epoch)
  --!include boards
  --!include add-to-board
  local boards = boardsOf(text, epoch)
  -- The reply to an accepted update is a number or `-`; all others begin with a letter.
  local byte, sub, LETTERS = string.byte, string.sub, 58
  return function(updates, replies)
    if type(updates[1]) == 'table' then
      local items, amounts = updates[1], updates[2]
      for at = 1, #items do
        if byte(replies[at]) < LETTERS then addToBoard(boards, 'c', items[at], amounts[at]) end
      end
      return
    end
    local at = 1
    for _, reply in ipairs(replies) do
      local kind, item = updates[at], updates[at + 1]
      if byte(reply) < LETTERS then
        -- The score may belong to a put that is kept instead of this oldest one.
        if kind == '=' and updates[at + 4] ~= '' then noteOnBoard(boards, kind, item)
        elseif kind ~= 'a' then addToBoard(boards, kind, item, updates[at + 2])
        elseif sub(item, 1, 1) ~= '!' then addToBoard(boards, 'p', item, updates[at + 2])
        -- The key of an amended value is noted once the flush has carried the amendment out.
        elseif not string.find(item, '^![<=>]') then addToBoard(boards, 'c', sub(item, 2), updates[at + 2]) end
      end
      at = at + ((kind == 'p' or kind == 'a') and 6 or 5)
    end
  end
end
