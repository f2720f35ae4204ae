-- One step of a walk through the reservations, short enough (1.4 to 2.8 us a field) to leave the hot path alone.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] p, user -> microseconds:nonce of reservations in flight
-- ARGV    identity of the deployment, HSCAN cursor, least age in milliseconds of those to return, fields to look at
--         (approximately)
-- Returns { next cursor, age of the oldest seen in milliseconds, (user id, value)* }
-- Fails   FOREIGN identity, UNCLAIMED (src/redis/GateOwner.ts)
--
-- A value without a time is as old as can be: the reaper resolves it.
local owner = redis.call("HGET", KEYS[1], "deployment")
if owner and owner ~= ARGV[1] then return redis.error_reply("FOREIGN " .. owner) end
if not owner and redis.call("HLEN", KEYS[2]) > 0 then return redis.error_reply("UNCLAIMED the keys have no owner") end
local time = redis.call("TIME")
local micros = time[1] * 1000000 + time[2]
local page = redis.call("HSCAN", KEYS[2], ARGV[2], "COUNT", ARGV[4])
local least = ARGV[3] * 1000
local oldest = 0
local reply = { page[1], 0 }
for k = 1, #page[2], 2 do
  local value = page[2][k + 1]
  local age = micros - (tonumber(string.match(value, "^(%d+):")) or 0)
  if age > oldest then oldest = age end
  if age >= least then
    reply[#reply + 1] = page[2][k]
    reply[#reply + 1] = value
  end
end
reply[2] = math.floor(oldest / 1000)
return reply
