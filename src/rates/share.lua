-- What all servers took of a key. KEYS[1]: the key. ARGV, in microseconds: what was taken, as the time in which it comes
-- back; how long ago; the maximum time until the key is full. Answers the time until the key is full, by Redis' clock.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local taken, age, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now - age) + taken
full_at = math.min(full_at, now + most)
if full_at <= now then return 0 end
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
return math.ceil(full_at - now)
