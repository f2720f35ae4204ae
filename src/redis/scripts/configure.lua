-- Applies a campaign's terms if they are newer than the gate's, or as new with a higher limit (an announced raise).
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] i, users with a coupon
-- KEYS[3] p, reservations in flight
-- KEYS[4] e, CouponIssued events
-- ARGV    identity of the deployment, milliseconds that keys are kept after the end, version, limit, status, start, end
--         (epoch milliseconds; end empty: none)
-- Returns 1 if applied; 0 if not newer or without a generation (the next hydration brings its own terms)
-- Fails   FOREIGN identity, UNCLAIMED (src/redis/GateOwner.ts)
--
-- A gate that was retired is cold with newer terms: they may have moved the end.
local m = redis.call("HMGET", KEYS[1], "deployment", "generation", "version", "limit", "retired")
if m[1] and m[1] ~= ARGV[1] then return redis.error_reply("FOREIGN " .. m[1]) end
if not m[2] and not m[5] then return 0 end
if not m[1] then return redis.error_reply("UNCLAIMED the keys have no owner") end
local newer = tonumber(ARGV[3]) - (tonumber(m[3] or 0) or 0)
if newer < 0 or (newer == 0 and tonumber(ARGV[4]) <= (tonumber(m[4] or 0) or 0)) then return 0 end
local time = redis.call("TIME")
redis.call("HSET", KEYS[1], "version", ARGV[3], "limit", ARGV[4], "status", ARGV[5], "start", ARGV[6], "end", ARGV[7])
redis.call("HDEL", KEYS[1], "retired")
keep(time[1] * 1000 + math.floor(time[2] / 1000), ARGV[5], ARGV[7], ARGV[2])
return 1
