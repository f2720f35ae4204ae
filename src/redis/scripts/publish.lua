-- Appends CouponIssued events of coupons that the ledger committed. Works on a cold gate.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] i, users with a coupon
-- KEYS[3] p, reservations in flight
-- KEYS[4] e, CouponIssued events
-- ARGV    identity of the deployment, id of an event that must be there or "", kept events (approximately), then
--         (coupon id, user id, code, issuedAt)*
-- Returns the id of the last event
-- Fails   FOREIGN identity, UNCLAIMED (src/redis/GateOwner.ts), LOST
--
-- The event does not depend on what the set knows: its caller publishes first (src/agents/outbox/CouponSinks.ts).
local failure = own(ARGV[1], ARGV[2])
if failure then return failure end
local last
for k = 4, #ARGV, 4 do
  local id, user, code, at = ARGV[k], ARGV[k + 1], ARGV[k + 2], ARGV[k + 3]
  last = redis.call("XADD", KEYS[4], "MAXLEN", "~", ARGV[3], "*", "id", id, "user", user, "code", code, "at", at)
end
local expires = redis.call("HGET", KEYS[1], "expires")
if expires then redis.pcall("PEXPIREAT", KEYS[4], expires) end
return last
