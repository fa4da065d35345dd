-- Add what a process has counted to the totals, once, and note what it measures now.
--
-- KEYS[1] hash: total by series  KEYS[2] hash: `<second until which it holds> <number> <gauges>`
-- by process
-- ARGV[1] process  ARGV[2] number of this publication  ARGV[3] seconds for which its gauges hold
-- ARGV[4] gauges, as JSON  ARGV[5..] series and amount, in turn
local now = tonumber(redis.call('TIME')[1])
local before = redis.call('HGET', KEYS[2], ARGV[1])
local number = before and tonumber(string.match(before, '^%d+ (%d+)')) or 0
-- A publication whose answer was lost is sent again.
if number < tonumber(ARGV[2]) then
    for position = 5, #ARGV, 2 do
        redis.call('HINCRBYFLOAT', KEYS[1], ARGV[position], ARGV[position + 1])
    end
end
redis.call('HSET', KEYS[2], ARGV[1], (now + ARGV[3]) .. ' ' .. ARGV[2] .. ' ' .. ARGV[4])
return redis.status_reply('OK')
