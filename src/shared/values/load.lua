#!lua
-- load: sets the live values of cold keys to the value in MySQL plus the updates that only Redis has.
-- compare: returns the right values.
-- repair: also corrects wrong live values. A SET from outside could lose an update.
-- The values are exact, since one MySQL statement read watermark and values, and this is one script.
--
-- KEYS[1]  {namespace:partition}:state
-- ARGV     1 'load', 'compare' or 'repair'   2 epoch, 3 sequence, 4 token of the watermark   5 deployment
--          then three for each key: kind, item, value in MySQL plus quarantined sum, of an account with what is
--          held; of a kept value the text of the one that is kept of both, '' if there is none. To load the record
--          of a hold: 'h', bytes of the account's item, ':', the item and the id; its row as such a record, or ''
-- Reply    { 'absent' } no state of this deployment and format
--          { 'epoch', epoch here } the epochs differ
--          { 'again', 'behind' } Redis is behind the watermark, or the watermark moved since it was read
--          { 'again', 'ahead' } the watermark moved, or MySQL went back in time
--          { 'again', 'many' } compare, repair: an account has too many entries in the segment to add up here
--          { 'again', 'doubtful' } compare, repair: an account is in doubt
--          { 'ok', ... } then for each key: load: the live value, of an account that holds points
--          'balance/held', 'x' (out of range) or 'w' (in doubt: wait);
--          compare: 'live expected score', live '-' if there is none, else '=' and its text; the score '-' if the
--          key is not on its board, '.' if there is no board to compare with, or the key is noted anyway;
--          repair: the same, from before; a live value is deleted if the right value is out of range
--
-- An account is in doubt if it has unacknowledged entries from before Redis was found behind the watermark.
-- MySQL may have them, since Redis forgot their claim; their flush decides. Counters need no doubt: their
-- pending sums are added again in any case, and declared as doubled.

--!include base
--!include int
--!include young
--!include fits-watermark
--!include boards
--!include kept
local mode, epoch, watermark, token, deployment = unpack(ARGV, 1, 5)
watermark = tonumber(watermark)
--!read state
if state.epoch == '' or state.deployment ~= deployment then return { 'absent' } end
local unfit, withFlight = fitsWatermark(state, epoch, watermark, token)
if unfit then return unfit end
local boards = boardsOf(mode ~= 'load' and state.boards or '', epoch)
--!include expected
-- The number may be far out of range.
local function sumText(number) return string.format('%.0f', number) end
local SAFE = 9007199254740991
local young, old = base .. 'live:young', base .. 'live:old'
if mode == 'load' and redis.call('EXISTS', young) == 0 then beginYoung() end
-- The score of a key on a board that is ready, from before it is corrected.
local function scoreOf(kind, item, expected)
  local board, key = boardOf(boards, kind, item)
  if not board then return '.' end
  local score = redis.call('ZSCORE', board.scores, key)
  if board.phase ~= 'ready' then
    -- The walk is past a member of the next board, so it must be read again.
    if mode == 'repair' and score and tonumber(score) ~= expected then redis.call('SADD', board.noted, key) end
    return '.'
  end
  local isNoted = redis.call('SISMEMBER', board.noted, key) == 1
  -- A key that was only read has no score, nor has a key without a value.
  local isWrong = isNoted or (score and tonumber(score) or not isKept(kind) and 0 or nil) ~= expected
  if mode == 'repair' and isWrong and not expected then
    redis.call('ZREM', board.scores, key)
    redis.call('SREM', board.noted, key)
  elseif mode == 'repair' and isWrong and math.abs(expected) <= SAFE then
    redis.call('ZADD', board.scores, int(expected), key)
    redis.call('SREM', board.noted, key)
  elseif mode == 'repair' and isWrong then
    redis.call('SADD', board.noted, key)
  end
  return isNoted and '.' or score and sumText(score) or '-'
end
local reply = { 'ok' }
for at = 6, #ARGV, 3 do
  local kind, item = ARGV[at], ARGV[at + 1]
  local field = kind .. item
  local live = redis.call('HGET', young, field) or redis.call('HGET', old, field)
  local expected, why = false, nil
  local given, number, text, held = ARGV[at + 2], nil, nil, nil
  if mode ~= 'load' or not live then expected, why, held = expectedOf(kind, item, given) end
  if why and (why ~= 'doubtful' or mode ~= 'load') then return { 'again', why } end
  if expected then
    -- Without a value there is no number.
    local isText = isKept(kind) or kind == 'h'
    number = not isText and expected or tonumber(kind ~= 'h' and valueOf(expected) or nil)
    text = isText and expected or sumText(expected)
    if held and held > 0 then text = text .. '/' .. sumText(held) end
  end
  local isBeyond = number and (math.abs(number) > SAFE or (held or 0) > SAFE)
  if mode ~= 'load' then
    if mode == 'repair' and live and live ~= text then
      redis.call('HDEL', old, field)
      if isBeyond then redis.call('HDEL', young, field) else redis.call('HSET', young, field, text) end
    end
    -- A live value that another program wrote may have any length.
    reply[#reply + 1] = (live and '=' .. string.sub(live, 1, 64) or '-') .. ' ' .. text .. ' ' .. scoreOf(kind, item, number)
  elseif live then
    reply[#reply + 1] = live
  elseif why then
    reply[#reply + 1] = 'w'
  elseif isBeyond then
    reply[#reply + 1] = 'x'
  else
    redis.call('HSET', young, field, text)
    reply[#reply + 1] = text
  end
end
return reply
