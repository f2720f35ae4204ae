-- Records coupons that the ledger committed. A union of facts: it needs no generation and works on a cold gate.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] i, users with a coupon
-- KEYS[3] p, reservations in flight
-- KEYS[4] e, CouponIssued events
-- ARGV    identity of the deployment, kept events (approximately), then (coupon id, user id, code, issuedAt)*
-- Returns how many coupons it was given
-- Fails   FOREIGN identity, UNCLAIMED (src/redis/GateOwner.ts)
--
-- The event does not depend on what SADD answers: hydration may have added the user first, and its event would be lost.
-- Users are added a block at a time: a call of Redis from Lua costs 0.3 us, and SADD and HDEL for each user are two.
--
-- All keys are read before anything is written: one of another type fails here. A write may still fail (Redis rejects the
-- command). In this order an event is then published twice, or a slot is free before its user is in the set, so that the
-- ledger is asked. In the reverse order a coupon would take two places, and new claims would be answered "full".
local BLOCK = 1000 -- unpack() of some 8,000 overflows Lua's stack

local m = redis.call("HMGET", KEYS[1], "deployment", "expires")
if m[1] and m[1] ~= ARGV[1] then return redis.error_reply("FOREIGN " .. m[1]) end
local issued = redis.call("SCARD", KEYS[2])
local pending = redis.call("HLEN", KEYS[3])
local events = redis.call("XREVRANGE", KEYS[4], "+", "-", "COUNT", 1)
if not m[1] then
  if issued > 0 or pending > 0 or #events > 0 or redis.call("HLEN", KEYS[1]) > 0 then
    return redis.error_reply("UNCLAIMED the keys have no owner")
  end
  redis.call("HSET", KEYS[1], "deployment", ARGV[1])
end

local users = {}
for k = 3, #ARGV, 4 do
  redis.call("XADD", KEYS[4], "MAXLEN", "~", ARGV[2], "*", "id", ARGV[k], "user", ARGV[k + 1], "code", ARGV[k + 2], "at", ARGV[k + 3])
  users[#users + 1] = ARGV[k + 1]
end
for from = 1, #users, BLOCK do
  local to = math.min(from + BLOCK - 1, #users)
  redis.call("HDEL", KEYS[3], unpack(users, from, to))
  redis.call("SADD", KEYS[2], unpack(users, from, to))
end
if m[2] then
  redis.pcall("PEXPIREAT", KEYS[2], m[2])
  redis.pcall("PEXPIREAT", KEYS[4], m[2])
end
return #users
