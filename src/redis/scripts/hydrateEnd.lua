-- Declares the gate complete: only now does it answer.
--
-- KEYS[1] m, the campaign's terms and generation
-- KEYS[2] i, users with a coupon and the sentinel #
-- ARGV    token, cursor
-- Returns 1; 0 and no effect unless generation and cursor still match and the sentinel is there
local m = redis.call("HMGET", KEYS[1], "generation", "cursor")
if m[1] ~= ARGV[1] or m[2] ~= ARGV[2] or redis.call("SISMEMBER", KEYS[2], "#") == 0 then return 0 end
redis.call("HSET", KEYS[1], "hydrated", "1")
redis.call("HDEL", KEYS[1], "leaseUntil")
return 1
