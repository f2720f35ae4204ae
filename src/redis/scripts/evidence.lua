-- Reads what shows whose keys without an owner are: each event has the code of a coupon, which only its ledger knows.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] i, users with a coupon and the sentinel #
-- KEYS[3] e, CouponIssued events
-- ARGV    events to return from either end at most
-- Returns { generation or "", version or 0, limit or 0, start or 0, users with a coupon, id of the newest event or "",
--         (coupon id, user id, code)* }
local m = redis.call("HMGET", KEYS[1], "generation", "version", "limit", "start")
local issued = redis.call("SCARD", KEYS[2]) - redis.call("SISMEMBER", KEYS[2], "#")
local newest = redis.call("XREVRANGE", KEYS[3], "+", "-", "COUNT", ARGV[1])
local oldest = redis.call("XRANGE", KEYS[3], "-", "+", "COUNT", ARGV[1])
local newestId = newest[1] and newest[1][1] or ""
local reply = { m[1] or "", tonumber(m[2]) or 0, tonumber(m[3]) or 0, tonumber(m[4]) or 0, issued, newestId }
for _, events in ipairs({ newest, oldest }) do
  for _, event in ipairs(events) do
    local fields = event[2]
    for k = 2, 6, 2 do reply[#reply + 1] = fields[k] or "" end
  end
end
return reply
