-- Adds the amount of an accepted update to the score of its key, or lets a put replace it. Called by every script that changes pending. Of the
-- amendment of a counter, the item is the counter's. Needs `boards`.
-- How ZADD keeps the greatest, the least or the last number.
local RULES = { ['>'] = 'GT', ['<'] = 'LT', ['='] = '' }
local function addToBoard(boards, kind, item, amount)
  local board, key = boardOf(boards, kind, item)
  if not board then return end
  local rule = RULES[kind]
  if rule then
    -- What an absent key has already may be kept.
    if not board.creates and not redis.call('ZSCORE', board.scores, key) then redis.call('SADD', board.noted, key)
    elseif rule == '' then redis.call('ZADD', board.scores, amount, key)
    else redis.call('ZADD', board.scores, rule, amount, key) end
    return
  end
  local score
  if board.creates then score = redis.call('ZINCRBY', board.scores, amount, key)
  else score = redis.call('ZADD', board.scores, 'XX', 'INCR', amount, key) end
  -- Beyond 2^53-1 a score is not exact.
  if not score or math.abs(score) > 9007199254740991 then redis.call('SADD', board.noted, key) end
end
