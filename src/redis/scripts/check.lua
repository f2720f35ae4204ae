-- Is the campaign sold out for these users, definitely?
--
-- KEYS[1] m, the campaign's terms and generation
-- KEYS[2] i, users with a coupon and the sentinel #
-- ARGV    identity of the deployment, then user ids
-- Returns nil unless the gate is hydrated, the campaign is open and the issued set reaches the limit;
--         else a digit a user, in order: 1 has a coupon
--
-- A campaign that is not open is left to reserve, which knows what to say first.
-- SISMEMBER returns 0 for a missing key. Without the sentinel, a flush would answer holders with "sold out" (I8b).
local BLOCK = 1000 -- unpack() of some 8,000 overflows Lua's stack

local m = redis.call("HMGET", KEYS[1], "generation", "hydrated", "limit", "status", "start", "end", "deployment", "retired")
if m[7] ~= ARGV[1] or m[8] then return nil end
if not m[1] or m[2] ~= "1" or redis.call("SISMEMBER", KEYS[2], "#") == 0 then return nil end
local time = redis.call("TIME")
local millis = time[1] * 1000 + time[2] / 1000
if m[4] ~= "ACTIVE" or millis < tonumber(m[5]) or (m[6] ~= "" and millis >= tonumber(m[6])) then return nil end
if redis.call("SCARD", KEYS[2]) - 1 < tonumber(m[3]) then return nil end

local members = {}
for from = 2, #ARGV, BLOCK do
  local to = math.min(from + BLOCK - 1, #ARGV)
  members[#members + 1] = table.concat(redis.call("SMISMEMBER", KEYS[2], unpack(ARGV, from, to)))
end
return table.concat(members)
