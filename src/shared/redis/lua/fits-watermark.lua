-- Compares the state with a watermark. Returns nil and whether the batch in flight is missing in the database; or a
-- reply that says why the two do not fit: { 'epoch', epoch here } or { 'again', 'ahead' or 'behind' }.
local function fitsWatermark(state, epoch, watermark, token)
  if state.epoch ~= epoch then return { 'epoch', state.epoch } end
  if state.token == '' then
    if state.sequence < watermark then return { 'again', 'behind' } end
    if state.sequence > watermark then return { 'again', 'ahead' } end
  elseif state.sequence == watermark + 1 then
    return nil, true
  elseif state.sequence ~= watermark or state.token ~= token then
    return { 'again', state.sequence > watermark and 'ahead' or 'behind' }
  end
end
