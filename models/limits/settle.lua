-- Replace what a request has reserved by what it has used.
--
-- KEYS[2] mean of the output tokens of a choice
-- ARGV[1] slot of the reservation  ARGV[2..4] by how much more, or less if below 0, it has used of each
-- counter  ARGV[5] output tokens of each choice, -1 if unknown
slide()
for counter, name in ipairs(NAMES) do
    local change, at = tonumber(ARGV[counter + 1]), tonumber(ARGV[1])
    if change > 0 then
        add(name, change, slot)
        keep()
    elseif change < 0 and at >= oldest and redis.call('HEXISTS', key, name .. at) == 1 then
        add(name, change, at)
    end
end
local used = tonumber(ARGV[5])
if used >= 0 then
    local mean = tonumber(redis.call('GET', KEYS[2]) or used)
    redis.call('SET', KEYS[2], mean + (used - mean) / 16, 'EX', 604800)
end
