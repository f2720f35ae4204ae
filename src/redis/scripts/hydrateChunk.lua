-- Adds a page of the ledger's coupons to the live set and renews the lease.
--
-- KEYS[1] m, the campaign's terms and generation
-- KEYS[2] i, users with a coupon and the sentinel #
-- KEYS[3] e, CouponIssued events
-- ARGV    token, cursor the page begins after, kept events (approximately), then (coupon id, user id, code, issuedAt)*
-- Returns 1; 0 and no effect unless generation and cursor still match and the sentinel is there: the gate, or this set
--         alone, was lost or taken over meanwhile
--
-- The event of a user that the set did not have is published here: after a loss of Redis nothing else would do so (I10).
local m = redis.call("HMGET", KEYS[1], "generation", "cursor", "lease", "expires")
if m[1] ~= ARGV[1] or m[2] ~= ARGV[2] or redis.call("SISMEMBER", KEYS[2], "#") == 0 then return 0 end

-- A stream that is none fails here, before a user is added whose event would then be lost.
redis.call("XREVRANGE", KEYS[3], "+", "-", "COUNT", 1)

local time = redis.call("TIME")
local millis = time[1] * 1000 + math.floor(time[2] / 1000)
local cursor = ARGV[2]
for k = 4, #ARGV, 4 do
  local id, user, code, at = ARGV[k], ARGV[k + 1], ARGV[k + 2], ARGV[k + 3]
  if redis.call("SADD", KEYS[2], user) == 1 then
    redis.call("XADD", KEYS[3], "MAXLEN", "~", ARGV[3], "*", "id", id, "user", user, "code", code, "at", at)
  end
  cursor = id
end
redis.call("HSET", KEYS[1], "cursor", cursor, "leaseUntil", string.format("%.0f", millis + (tonumber(m[3]) or 0)))
if m[4] then redis.pcall("PEXPIREAT", KEYS[3], m[4]) end
return 1
