-- Applies a campaign's terms if they are newer than the gate's, or as new with a higher limit: a raise that is announced.
--
-- KEYS[1] m, the campaign's terms and generation
-- ARGV    version, limit, status, start, end (epoch milliseconds; end empty: none)
-- Returns 1 if applied; 0 if not newer or without a generation (the next hydration brings its own terms)
if redis.call("HEXISTS", KEYS[1], "generation") == 0 then return 0 end
local m = redis.call("HMGET", KEYS[1], "version", "limit")
local newer = tonumber(ARGV[1]) - tonumber(m[1] or 0)
if newer < 0 or (newer == 0 and tonumber(ARGV[2]) <= tonumber(m[2])) then return 0 end
redis.call("HSET", KEYS[1], "version", ARGV[1], "limit", ARGV[2], "status", ARGV[3], "start", ARGV[4], "end", ARGV[5])
return 1
