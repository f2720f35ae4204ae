-- Forgets a campaign, as a flush would; the memory is freed in the background. Keys of another type go too.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] i, users with a coupon
-- KEYS[3] p, reservations in flight
-- KEYS[4] e, CouponIssued events
-- ARGV    identity of the deployment
-- Returns how many of the keys there were
-- Fails   FOREIGN identity, UNCLAIMED (src/redis/GateOwner.ts)
local owner = redis.pcall("HGET", KEYS[1], "deployment")
if type(owner) == "table" then
  if not string.find(owner["err"], "WRONGTYPE", 1, true) then return owner end
elseif owner and owner ~= ARGV[1] then
  return redis.error_reply("FOREIGN " .. owner)
elseif not owner then
  local counts = { redis.call("HLEN", KEYS[1]), redis.pcall("SCARD", KEYS[2]), redis.pcall("HLEN", KEYS[3]) }
  local events = redis.pcall("XREVRANGE", KEYS[4], "+", "-", "COUNT", 1)
  if events["err"] or #events > 0 then return redis.error_reply("UNCLAIMED the keys have no owner") end
  for _, count in ipairs(counts) do
    if count ~= 0 then return redis.error_reply("UNCLAIMED the keys have no owner") end
  end
end
return redis.call("UNLINK", KEYS[1], KEYS[2], KEYS[3], KEYS[4])
