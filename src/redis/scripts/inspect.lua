-- Counts, at one moment, and whether the keys can be right at all.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] i, users with a coupon and the sentinel #
-- KEYS[3] p, reservations in flight
-- KEYS[4] e, CouponIssued events
-- ARGV    identity of the deployment
-- Returns { condition, generation or "", hydrated 0 or 1, users with a coupon, reservations, version of the terms or 0 }
--         condition: Sound | Retired, the users were let go | Broken, a key has another type or the terms are not readable
-- Fails   FOREIGN identity, UNCLAIMED (src/redis/GateOwner.ts)
local m = redis.pcall("HMGET", KEYS[1], "deployment", "generation", "hydrated", "version", "limit", "status", "start", "end", "retired")
local issued = redis.pcall("SCARD", KEYS[2])
local pending = redis.pcall("HLEN", KEYS[3])
local events = redis.pcall("XREVRANGE", KEYS[4], "+", "-", "COUNT", 1)
local broken = false
for _, reply in ipairs({ m, issued, pending, events }) do
  if type(reply) == "table" and reply["err"] then
    -- Any other error says nothing of the key.
    if not string.find(reply["err"], "WRONGTYPE", 1, true) then return reply end
    broken = true
  end
end
if not m["err"] then
  if m[1] and m[1] ~= ARGV[1] then return redis.error_reply("FOREIGN " .. m[1]) end
  if not broken and not m[1] and (m[2] or m[4] or issued > 0 or pending > 0 or #events > 0) then
    return redis.error_reply("UNCLAIMED the keys have no owner")
  end
  local isStatus = m[6] == "ACTIVE" or m[6] == "PAUSED" or m[6] == "ENDED"
  local isReadable = tonumber(m[4]) and tonumber(m[5]) and tonumber(m[7]) and isStatus and (m[8] == "" or tonumber(m[8]))
  if (m[2] or m[9]) and not isReadable then broken = true end
end
if broken then return { "Broken", "", 0, 0, 0, 0 } end

local sentinel = redis.call("SISMEMBER", KEYS[2], "#")
local hydrated = (m[2] and m[3] == "1" and sentinel == 1) and 1 or 0
return { m[9] and "Retired" or "Sound", m[2] or "", hydrated, issued - sentinel, pending, tonumber(m[4] or 0) or 0 }
