-- Count one request in the windows of its project, or nothing at all if a limit would be exceeded.
--
-- KEYS[2] mean of the output tokens of a choice  KEYS[3] bytes stored since they were last measured
-- ARGV[1..3] limits of requests, input and output tokens, -1 for none  ARGV[4..6] amounts
-- ARGV[7] choices whose output is not limited, each of which reserves the mean  ARGV[8] mean of a
-- project without one  ARGV[9] room for stored bytes, -1 for no limit  ARGV[10] bytes to store
--
-- Returns the counter with the longest wait (0 if the request is counted, 4 for stored bytes), that
-- wait in milliseconds, the slot, the output tokens that were reserved, then of each counter its total
-- and the milliseconds until that is 0.
slide()
local limits, amounts, totals = {}, {}, {}
for counter, name in ipairs(NAMES) do
    limits[counter], amounts[counter] = tonumber(ARGV[counter]), tonumber(ARGV[counter + 3])
    totals[counter] = total(name)
end
if tonumber(ARGV[7]) > 0 then
    local mean = tonumber(redis.call('GET', KEYS[2]) or ARGV[8])
    local expected = math.ceil(mean * tonumber(ARGV[7]))
    -- A guess must not keep a request out for ever.
    if limits[3] >= 0 then expected = math.min(expected, math.max(limits[3] - amounts[3], 0)) end
    amounts[3] = amounts[3] + expected
end
local refused, longest = 0, 0
for counter, name in ipairs(NAMES) do
    local excess = totals[counter] + amounts[counter] - limits[counter]
    if limits[counter] >= 0 and amounts[counter] > 0 and excess > 0 then
        local wait = wait_ms(name, excess)
        if wait > longest then refused, longest = counter, wait end
    end
end
local room, size = tonumber(ARGV[9]), tonumber(ARGV[10])
if room >= 0 and size > 0 and tonumber(redis.call('GET', KEYS[3]) or 0) + size > room then
    refused, longest = 4, 0
end
local result = {refused, longest, slot, amounts[3]}
if refused == 0 then
    for counter, name in ipairs(NAMES) do
        if limits[counter] >= 0 and amounts[counter] > 0 then
            add(name, amounts[counter], slot)
            totals[counter] = totals[counter] + amounts[counter]
        end
    end
    keep()
    if room >= 0 and size > 0 then
        redis.call('INCRBY', KEYS[3], size)
        redis.call('EXPIRE', KEYS[3], 86400)
    end
end
for counter, name in ipairs(NAMES) do
    local last = tonumber(redis.call('HGET', key, name .. 'l') or 0)
    result[#result + 1] = totals[counter]
    result[#result + 1] = totals[counter] > 0 and math.max((last + NUM_SLOTS) * SLOT_MS - now_ms, 0) or 0
end
return result
