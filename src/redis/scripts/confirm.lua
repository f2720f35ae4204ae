-- Records coupons that the ledger committed. A union of facts: it needs no generation and works on a cold gate.
--
-- KEYS[1] i, users with a coupon
-- KEYS[2] p, reservations in flight
-- KEYS[3] e, CouponIssued events
-- ARGV    kept events (approximately), then (coupon id, user id, code, issuedAt)*
-- Returns how many coupons it was given
--
-- The event does not depend on what SADD answers: hydration may have added the user first, and its event would be lost.
-- Users are added a block at a time: a call of Redis from Lua costs 0.3 us, and SADD and HDEL for each user are two.
local BLOCK = 1000 -- unpack() of some 8,000 overflows Lua's stack

local users = {}
for k = 3, #ARGV, 4 do users[#users + 1] = ARGV[k] end
for from = 1, #users, BLOCK do
  local to = math.min(from + BLOCK - 1, #users)
  redis.call("SADD", KEYS[1], unpack(users, from, to))
  redis.call("HDEL", KEYS[2], unpack(users, from, to))
end
for k = 2, #ARGV, 4 do
  redis.call("XADD", KEYS[3], "MAXLEN", "~", ARGV[1], "*", "id", ARGV[k], "user", ARGV[k + 1], "code", ARGV[k + 2], "at", ARGV[k + 3])
end
return #users
