-- Asks to rebuild the gate from the ledger, into the live set.
--
-- KEYS[1] m, the campaign's terms and generation
-- KEYS[2] i, users with a coupon, and the sentinel # from now on
-- ARGV    token, lease in milliseconds, version, limit, status, start, end (epoch milliseconds; end empty: none)
-- Returns Hydrated (no need) | Busy (another token's lease runs) | Granted (token is the generation, cursor 0)
local m = redis.call("HMGET", KEYS[1], "generation", "hydrated", "leaseUntil", "version", "limit")
local time = redis.call("TIME")
local millis = time[1] * 1000 + math.floor(time[2] / 1000)
local isHydrated = m[1] and m[2] == "1" and redis.call("SISMEMBER", KEYS[2], "#") == 1
if not isHydrated and m[1] and m[1] ~= ARGV[1] and m[3] and tonumber(m[3]) > millis then return "Busy" end

local newer = tonumber(ARGV[3]) - tonumber(m[4] or 0)
if newer > 0 or (newer == 0 and tonumber(ARGV[4]) > tonumber(m[5])) then
  redis.call("HSET", KEYS[1], "version", ARGV[3], "limit", ARGV[4], "status", ARGV[5], "start", ARGV[6], "end", ARGV[7])
end
if isHydrated then return "Hydrated" end
redis.call(
  "HSET", KEYS[1], "generation", ARGV[1], "hydrated", "0", "cursor", "0",
  "lease", ARGV[2], "leaseUntil", string.format("%.0f", millis + ARGV[2])
)
-- What is still there at each further step, or the set was lost in between and has to be fed anew.
redis.call("SADD", KEYS[2], "#")
return "Granted"
