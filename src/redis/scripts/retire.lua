-- Deletes the users of a campaign that ended long ago: from now on every claim is let through to the ledger.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] i, users with a coupon
-- KEYS[3] p, reservations in flight
-- KEYS[4] e, CouponIssued events
-- ARGV    identity of the deployment, milliseconds that the rest is kept, version, limit, status, start, end (epoch
--         milliseconds; end empty: none)
-- Returns 1; 0 and no effect if the gate has newer terms
-- Fails   FOREIGN identity, UNCLAIMED (src/redis/GateOwner.ts)
local m = redis.call("HMGET", KEYS[1], "deployment", "version")
if m[1] and m[1] ~= ARGV[1] then return redis.error_reply("FOREIGN " .. m[1]) end
if not m[1] then
  local users = redis.call("SCARD", KEYS[2]) + redis.call("HLEN", KEYS[3])
  local events = redis.call("XREVRANGE", KEYS[4], "+", "-", "COUNT", 1)
  if m[2] or users > 0 or #events > 0 then return redis.error_reply("UNCLAIMED the keys have no owner") end
end
if (tonumber(m[2] or 0) or 0) > tonumber(ARGV[3]) then return 0 end
local time = redis.call("TIME")
local expires = string.format("%.0f", time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2])
redis.call("UNLINK", KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call(
  "HSET", KEYS[1], "deployment", ARGV[1], "version", ARGV[3], "limit", ARGV[4], "status", ARGV[5], "start", ARGV[6], "end", ARGV[7],
  "retired", "1", "expires", expires
)
-- A user of Redis without permission for this keeps the key.
redis.pcall("PEXPIREAT", KEYS[1], expires)
return 1
