-- Adds a page of the ledger's coupons to the live set and renews the lease.
--
-- KEYS[1] m, the campaign's terms and generation
-- KEYS[2] i, users with a coupon and the sentinel #
-- KEYS[3] e, CouponIssued events
-- ARGV    token, cursor the page begins after, id of an event that must be there or "", then unless the page is empty
--         its last coupon (coupon id, user id, code, issuedAt), how many they are, the users of all, and their coupon
--         ids if this was asked for
-- Returns 1; -1 and no effect if it needs their ids, as some are erased (unerased.lua); 0 and no effect unless
--         generation and cursor still match and sentinel and event are there: the gate, this set alone, or its last
--         writes were lost, or it was taken over meanwhile
--
-- Where there is no event, one is written: it proves whose the keys are if m is lost (confirm.lua).
local BLOCK = 1000 -- unpack() of some 8,000 overflows Lua's stack

local m = redis.call("HMGET", KEYS[1], "generation", "cursor", "lease", "expires", "erased")
if m[1] ~= ARGV[1] or m[2] ~= ARGV[2] or redis.call("SISMEMBER", KEYS[2], "#") == 0 then return 0 end

-- A stream that is none fails here, before anything is written.
local hasEvents = #redis.call("XREVRANGE", KEYS[3], "+", "-", "COUNT", 1) > 0

if ARGV[3] ~= "" and #redis.call("XRANGE", KEYS[3], ARGV[3], ARGV[3]) == 0 then return 0 end

local count = tonumber(ARGV[8] or 0)
local users, first, last, found = ARGV, 9, 8 + count, false
if #ARGV > last and count > 0 then
  users, found = unerased(9, count)
  first, last = 1, #users
elseif m[5] and count > 0 then
  return -1
end

if count > 0 and not hasEvents then
  redis.call("XADD", KEYS[3], "*", "id", ARGV[4], "user", ARGV[5], "code", ARGV[6], "at", ARGV[7])
  if m[4] then redis.pcall("PEXPIREAT", KEYS[3], m[4]) end
end
if found then redis.call("HSET", KEYS[1], "erased", "1") end
for from = first, last, BLOCK do redis.call("SADD", KEYS[2], unpack(users, from, math.min(from + BLOCK - 1, last))) end

local time = redis.call("TIME")
local millis = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call("HSET", KEYS[1], "cursor", ARGV[4] or ARGV[2], "leaseUntil", string.format("%.0f", millis + (tonumber(m[3]) or 0)))
return 1
