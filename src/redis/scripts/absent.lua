-- Which of these users are not in the set, and which is the newest event?
--
-- KEYS[1] i, users with a coupon and the sentinel #
-- KEYS[2] e, CouponIssued events
-- ARGV    user ids
-- Returns { a digit a user, in order: 1 has a coupon, id of the newest event or "" }
--
-- It looks for no owner: a page of a rebuild is for a generation, and hydrateChunk decides.
local BLOCK = 1000 -- unpack() of some 8,000 overflows Lua's stack

local members = {}
for from = 1, #ARGV, BLOCK do
  local to = math.min(from + BLOCK - 1, #ARGV)
  members[#members + 1] = table.concat(redis.call("SMISMEMBER", KEYS[1], unpack(ARGV, from, to)))
end
local newest = redis.call("XREVRANGE", KEYS[2], "+", "-", "COUNT", 1)
return { table.concat(members), newest[1] and newest[1][1] or "" }
