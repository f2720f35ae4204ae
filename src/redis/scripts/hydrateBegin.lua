-- Asks to rebuild the gate from the ledger, into the live set.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] i, users with a coupon, and the sentinel # from now on
-- KEYS[3] p, reservations in flight
-- KEYS[4] e, CouponIssued events
-- ARGV    identity of the deployment, milliseconds that keys are kept after the end, version, limit, status, start, end
--         (epoch milliseconds; end empty: none), token, lease in milliseconds
-- Returns Hydrated (no need) | Busy (another token's lease runs) | Granted (token is the generation, cursor 0)
-- Fails   FOREIGN identity, UNCLAIMED (src/redis/GateOwner.ts)
local m = redis.call("HMGET", KEYS[1], "deployment", "generation", "hydrated", "leaseUntil", "version", "limit")
if m[1] and m[1] ~= ARGV[1] then return redis.error_reply("FOREIGN " .. m[1]) end
-- All are read before anything is written: a key of another type fails here.
local pending = redis.call("HLEN", KEYS[3])
local events = redis.call("XREVRANGE", KEYS[4], "+", "-", "COUNT", 1)
if not m[1] and (m[2] or m[5] or pending > 0 or #events > 0 or redis.call("SCARD", KEYS[2]) > 0) then
  return redis.error_reply("UNCLAIMED the keys have no owner")
end
local time = redis.call("TIME")
local millis = time[1] * 1000 + math.floor(time[2] / 1000)
local isHydrated = m[2] and m[3] == "1" and redis.call("SISMEMBER", KEYS[2], "#") == 1
if not isHydrated and m[2] and m[2] ~= ARGV[8] and m[4] and (tonumber(m[4]) or 0) > millis then return "Busy" end

local newer = tonumber(ARGV[3]) - (tonumber(m[5] or 0) or 0)
if newer > 0 or (newer == 0 and tonumber(ARGV[4]) > (tonumber(m[6] or 0) or 0)) then
  redis.call("HSET", KEYS[1], "version", ARGV[3], "limit", ARGV[4], "status", ARGV[5], "start", ARGV[6], "end", ARGV[7])
end
if isHydrated then return "Hydrated" end
redis.call(
  "HSET", KEYS[1], "deployment", ARGV[1], "generation", ARGV[8], "hydrated", "0", "cursor", "0",
  "lease", ARGV[9], "leaseUntil", string.format("%.0f", millis + ARGV[9])
)
redis.call("HDEL", KEYS[1], "retired")
-- What is still there at each further step, or the set was lost in between and has to be fed anew.
redis.call("SADD", KEYS[2], "#")
local terms = redis.call("HMGET", KEYS[1], "status", "end")
keep(millis, terms[1], terms[2], ARGV[2])
return "Granted"
