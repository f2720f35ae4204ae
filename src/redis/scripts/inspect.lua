-- Counts, at one moment.
--
-- KEYS[1] m, the campaign's terms and generation
-- KEYS[2] i, users with a coupon and the sentinel #
-- KEYS[3] p, reservations in flight
-- ARGV    none
-- Returns { generation or "", hydrated 0 or 1, users with a coupon, reservations, version of the terms or 0 }
local m = redis.call("HMGET", KEYS[1], "generation", "hydrated", "version")
local sentinel = redis.call("SISMEMBER", KEYS[2], "#")
local hydrated = (m[1] and m[2] == "1" and sentinel == 1) and 1 or 0
return { m[1] or "", hydrated, redis.call("SCARD", KEYS[2]) - sentinel, redis.call("HLEN", KEYS[3]), tonumber(m[3] or 0) }
