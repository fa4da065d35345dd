-- Moving windows of one project, which reserve.lua and settle.lua begin with.
--
-- KEYS[1] hash: the amount in each slot of each counter (`r`, `i` and `o`: requests, input tokens and
-- output tokens; then the slot's number), their totals (`r`, `i`, `o`), the last slot with any (`rl`,
-- `il`, `ol`) and the first slot that may have any (`first`)
--
-- A slot is half a second of Redis' clock. A window is the slot in progress and the 120 before it: an
-- amount counts for at least a minute, so no minute has more than the limit, and for at most half a
-- second more.
local SLOT_MS, NUM_SLOTS = 500, 121
local NAMES = {'r', 'i', 'o'}
local key = KEYS[1]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local slot = math.floor(now_ms / SLOT_MS)
local oldest = slot - NUM_SLOTS + 1

-- Take out what has left the windows.
local function slide()
    local first = tonumber(redis.call('HGET', key, 'first') or slot)
    if first >= oldest then return end
    local fields = {}
    for index = first, oldest - 1 do
        for _, name in ipairs(NAMES) do fields[#fields + 1] = name .. index end
    end
    local gone = {0, 0, 0}
    for position, amount in ipairs(redis.call('HMGET', key, unpack(fields))) do
        local counter = (position - 1) % 3 + 1
        gone[counter] = gone[counter] + (amount and tonumber(amount) or 0)
    end
    redis.call('HDEL', key, unpack(fields))
    for counter, name in ipairs(NAMES) do
        if gone[counter] ~= 0 then redis.call('HINCRBY', key, name, -gone[counter]) end
    end
    redis.call('HSET', key, 'first', oldest)
end

local function total(name)
    return tonumber(redis.call('HGET', key, name) or 0)
end

local function add(name, amount, at)
    redis.call('HINCRBY', key, name .. at, amount)
    redis.call('HINCRBY', key, name, amount)
    if amount > 0 then redis.call('HSET', key, name .. 'l', at) end
end

-- Keep the hash until all that it counts has left.
local function keep()
    redis.call('HSETNX', key, 'first', slot)
    redis.call('PEXPIRE', key, NUM_SLOTS * SLOT_MS)
end

-- Return the milliseconds until so much has left a window.
local function wait_ms(name, amount)
    local fields = {}
    for index = oldest, slot do fields[#fields + 1] = name .. index end
    for position, counted in ipairs(redis.call('HMGET', key, unpack(fields))) do
        amount = amount - (counted and tonumber(counted) or 0)
        if amount <= 0 then return (oldest + position - 1 + NUM_SLOTS) * SLOT_MS - now_ms end
    end
    return NUM_SLOTS * SLOT_MS
end
