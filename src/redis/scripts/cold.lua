-- Closes a generation, so that the gate must be rebuilt. Users and terms stay: both are facts.
--
-- KEYS[1] m, the campaign's terms and generation
-- KEYS[2] i, users with a coupon and the sentinel #
-- ARGV    generation
-- Returns 1; 0 and no effect if the gate has moved on to another generation
if redis.call("HGET", KEYS[1], "generation") ~= ARGV[1] then return 0 end
redis.call("HSET", KEYS[1], "hydrated", "0")
redis.call("HDEL", KEYS[1], "generation", "cursor", "lease", "leaseUntil")
redis.call("SREM", KEYS[2], "#")
return 1
