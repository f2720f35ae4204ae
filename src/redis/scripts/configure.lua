-- Applies a campaign's terms if they are newer than the gate's.
--
-- KEYS[1] m, the campaign's terms and generation
-- ARGV    version, limit, status, start, end (epoch milliseconds; end empty: none)
-- Returns 1 if applied; 0 if not newer or without a generation (the next hydration brings its own terms)
if redis.call("HEXISTS", KEYS[1], "generation") == 0 then return 0 end
if tonumber(redis.call("HGET", KEYS[1], "version") or 0) >= tonumber(ARGV[1]) then return 0 end
redis.call("HSET", KEYS[1], "version", ARGV[1], "limit", ARGV[2], "status", ARGV[3], "start", ARGV[4], "end", ARGV[5])
return 1
