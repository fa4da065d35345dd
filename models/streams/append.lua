-- Append the events of one response to its log and publish them to its readers.
--
-- KEYS[1] log (stream)  KEYS[2] fencing token: the newest attempt that has written
-- ARGV[1] attempt  ARGV[2] TTL, seconds  ARGV[3] channel  ARGV[4] first sequence number of a log
-- ARGV[5..] triples: sequence number, event, token ids
--
-- Returns OK; STALE when a newer attempt has written; LOST when events before these are missing, at the
-- beginning or in between: Redis may restart without the last second of its append-only file.
local fence = tonumber(redis.call('GET', KEYS[2]) or '0')
local attempt = tonumber(ARGV[1])
if attempt < fence then return 'STALE' end
if ARGV[5] ~= ARGV[4] then
    local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
    if not last then return 'LOST' end
    if tonumber(string.match(last[1], '^%d+')) < tonumber(ARGV[5]) then
        redis.call('DEL', KEYS[1])
        return 'LOST'
    end
end
redis.call('SET', KEYS[2], attempt, 'EX', ARGV[2])
local message = {}
for i = 5, #ARGV, 3 do
    -- The id is the sequence number plus one, as 0-0 is not a valid id. Redis refuses an id that is not
    -- above the last one, so an event that is already in the log stays unchanged.
    redis.pcall('XADD', KEYS[1], (ARGV[i] + 1) .. '-0', 'd', ARGV[i + 1], 't', ARGV[i + 2])
    message[#message + 1] = ARGV[i] .. ' ' .. ARGV[i + 1]
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], table.concat(message, '\n'))
return 'OK'
