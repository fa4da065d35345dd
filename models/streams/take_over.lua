-- Take over the log of one response: fence older attempts off, then read.
--
-- KEYS[1] log (stream)  KEYS[2] fencing token  ARGV[1] attempt  ARGV[2] TTL, seconds  ARGV[3] first id
local fence = tonumber(redis.call('GET', KEYS[2]) or '0')
if tonumber(ARGV[1]) > fence then redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2]) end
return redis.call('XRANGE', KEYS[1], ARGV[3], '+')
