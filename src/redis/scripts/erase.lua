-- Takes users out of the set whose coupons were erased; each coupon's number with a minus takes the user's place.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] i, users with a coupon
-- KEYS[3] p, reservations in flight
-- KEYS[4] e, CouponIssued events
-- ARGV    identity of the deployment, then (coupon id, its former user, 1 if that user holds another coupon)*
-- Returns a digit a coupon, in order: 1 it has followed, 0 the gate has a generation and does not know the coupon
-- Fails   FOREIGN identity, UNCLAIMED (src/redis/GateOwner.ts)
--
-- A gate without a generation needs no member: what rebuilds it reads the ledger from here on. `erased` in m tells the
-- scripts that add users that there are such members (unerased.lua).
local m = redis.call("HMGET", KEYS[1], "deployment", "generation")
if m[1] and m[1] ~= ARGV[1] then return redis.error_reply("FOREIGN " .. m[1]) end
if not m[1] then
  local users = redis.call("SCARD", KEYS[2]) + redis.call("HLEN", KEYS[3])
  local events = redis.call("XREVRANGE", KEYS[4], "+", "-", "COUNT", 1)
  if m[2] or users > 0 or #events > 0 then return redis.error_reply("UNCLAIMED the keys have no owner") end
end
local digits = {}
for k = 2, #ARGV, 3 do
  local mark, user = "-" .. ARGV[k], ARGV[k + 1]
  local known = redis.call("SMISMEMBER", KEYS[2], user, mark)
  local follows = known[1] == 1 or known[2] == 1
  if follows and known[2] == 0 then
    redis.call("HSET", KEYS[1], "erased", "1")
    redis.call("SADD", KEYS[2], mark)
  end
  if known[1] == 1 and ARGV[k + 2] == "0" then redis.call("SREM", KEYS[2], user) end
  digits[#digits + 1] = (follows or not m[2]) and "1" or "0"
end
return table.concat(digits)
