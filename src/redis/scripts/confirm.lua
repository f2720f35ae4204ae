-- Records coupons that the ledger committed. A union of facts: it needs no generation and works on a cold gate.
--
-- KEYS[1] i, users with a coupon
-- KEYS[2] p, reservations in flight
-- KEYS[3] e, CouponIssued events
-- ARGV    kept events (approximately), then (coupon id, user id, code, issuedAt)*
-- Returns how many coupons it was given
--
-- The event does not depend on what SADD answers: hydration may have added the user first, and its event would be lost.
for k = 2, #ARGV, 4 do
  local id, user, code, at = ARGV[k], ARGV[k + 1], ARGV[k + 2], ARGV[k + 3]
  redis.call("SADD", KEYS[1], user)
  redis.call("HDEL", KEYS[2], user)
  redis.call("XADD", KEYS[3], "MAXLEN", "~", ARGV[1], "*", "id", id, "user", user, "code", code, "at", at)
end
return (#ARGV - 1) / 4
