-- Tell the other processes a number, and return the sum of theirs and how many they are.
--
-- KEYS[1] hash: `<number> <second at which it is forgotten>` by process
-- ARGV[1] this process  ARGV[2] its number  ARGV[3] seconds for which it holds
local now = tonumber(redis.call('TIME')[1])
local sum, others = 0, 0
local entries = redis.call('HGETALL', KEYS[1])
for position = 1, #entries, 2 do
    local number, until_s = string.match(entries[position + 1], '^(%d+) (%d+)$')
    if tonumber(until_s) < now then
        redis.call('HDEL', KEYS[1], entries[position])
    elseif entries[position] ~= ARGV[1] then
        sum, others = sum + number, others + 1
    end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. (now + ARGV[3]))
redis.call('EXPIRE', KEYS[1], ARGV[3])
return {sum, others}
