-- Return the totals, and the gauges of the processes that have published them lately.
--
-- KEYS[1] hash: total by series  KEYS[2] hash: `<second until which it holds> <number> <gauges>`
-- by process
-- ARGV[1] seconds after which a process that is gone is forgotten
local now = tonumber(redis.call('TIME')[1])
local gauges = {}
local entries = redis.call('HGETALL', KEYS[2])
for position = 1, #entries, 2 do
    local until_s, json = string.match(entries[position + 1], '^(%d+) %d+ (.*)$')
    if tonumber(until_s) >= now then
        gauges[#gauges + 1] = json
    elseif tonumber(until_s) + ARGV[1] < now then
        redis.call('HDEL', KEYS[2], entries[position])
    end
end
return {redis.call('HGETALL', KEYS[1]), gauges}
