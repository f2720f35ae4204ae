-- Records coupons that the ledger committed. A union of facts: it needs no generation and works on a cold gate.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] i, users with a coupon
-- KEYS[3] p, reservations in flight
-- KEYS[4] e, CouponIssued events
-- ARGV    identity of the deployment, id of an event that must be there or "", one of the coupons (coupon id, user id,
--         code, issuedAt), then the users of all
-- Returns how many coupons it was given
-- Fails   FOREIGN identity, UNCLAIMED (src/redis/GateOwner.ts), LOST
--
-- A code proves whose the keys are if m is lost, and users prove nothing. So where there is no event, one is written.
-- Users are added a block at a time: a call of Redis from Lua costs 0.3 us, and SADD and HDEL for each user are two.
--
-- All keys are read before anything is written: one of another type fails in own. A write may still fail (Redis rejects
-- the command). In this order a slot is then free before its user is in the set, so that the ledger is asked. In the
-- reverse order a coupon would take two places, and new claims would be answered "full".
local BLOCK = 1000 -- unpack() of some 8,000 overflows Lua's stack

local failure, hasEvents = own(ARGV[1], ARGV[2])
if failure then return failure end
if not hasEvents then
  redis.call("XADD", KEYS[4], "*", "id", ARGV[3], "user", ARGV[4], "code", ARGV[5], "at", ARGV[6])
end
for from = 7, #ARGV, BLOCK do
  local to = math.min(from + BLOCK - 1, #ARGV)
  redis.call("HDEL", KEYS[3], unpack(ARGV, from, to))
  redis.call("SADD", KEYS[2], unpack(ARGV, from, to))
end
local expires = redis.call("HGET", KEYS[1], "expires")
if expires then
  redis.pcall("PEXPIREAT", KEYS[2], expires)
  redis.pcall("PEXPIREAT", KEYS[4], expires)
end
return #ARGV - 6
