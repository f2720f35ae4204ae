-- Gives keys without an owner one.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] e, CouponIssued events
-- ARGV    identity of the deployment, generation that was seen or "", id of the newest event that was seen or ""
-- Returns 1 if the owner is this deployment; 0 and no effect if it is another one, or the keys changed since they were seen
local m = redis.call("HMGET", KEYS[1], "deployment", "generation")
if m[1] then return m[1] == ARGV[1] and 1 or 0 end
if (m[2] or "") ~= ARGV[2] then return 0 end
-- A generation is a random token, and proof enough.
if not m[2] then
  local newest = redis.call("XREVRANGE", KEYS[2], "+", "-", "COUNT", 1)
  if (newest[1] and newest[1][1] or "") ~= ARGV[3] then return 0 end
end
redis.call("HSET", KEYS[1], "deployment", ARGV[1])
return 1
