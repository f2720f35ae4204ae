-- Records coupons that the ledger committed. A union of facts: it needs no generation and works on a cold gate.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] i, users with a coupon
-- KEYS[3] p, reservations in flight
-- KEYS[4] e, CouponIssued events
-- ARGV    identity of the deployment, id of an event that must be there or "", one of the coupons (coupon id, user id,
--         code, issuedAt), how many they are, the users of all, and their coupon ids if this was asked for
-- Returns how many coupons it was given; -1 and no effect if it needs their ids, as some are erased (unerased.lua)
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
local m = redis.call("HMGET", KEYS[1], "expires", "erased")
local count = tonumber(ARGV[7])
local users, first, last, found = ARGV, 8, 7 + count, false
if #ARGV > last then
  users, found = unerased(8, count)
  first, last = 1, #users
elseif m[2] then
  return -1
end
if not hasEvents then
  redis.call("XADD", KEYS[4], "*", "id", ARGV[3], "user", ARGV[4], "code", ARGV[5], "at", ARGV[6])
end
if found then redis.call("HSET", KEYS[1], "erased", "1") end
for from = first, last, BLOCK do
  local to = math.min(from + BLOCK - 1, last)
  redis.call("HDEL", KEYS[3], unpack(users, from, to))
  redis.call("SADD", KEYS[2], unpack(users, from, to))
end
if m[1] then
  redis.pcall("PEXPIREAT", KEYS[2], m[1])
  redis.pcall("PEXPIREAT", KEYS[4], m[1])
end
return count
