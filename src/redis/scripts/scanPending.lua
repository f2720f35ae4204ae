-- One step of a walk through the reservations, short enough (1.4 to 2.8 us a field) to leave the hot path alone.
--
-- KEYS[1] p, user -> microseconds:nonce of reservations in flight
-- ARGV    HSCAN cursor, least age in milliseconds of those to return, fields to look at (approximately)
-- Returns { next cursor, age of the oldest seen in milliseconds, (user id, value)* }
local time = redis.call("TIME")
local micros = time[1] * 1000000 + time[2]
local page = redis.call("HSCAN", KEYS[1], ARGV[1], "COUNT", ARGV[3])
local least = ARGV[2] * 1000
local oldest = 0
local reply = { page[1], 0 }
for k = 1, #page[2], 2 do
  local value = page[2][k + 1]
  local age = micros - string.sub(value, 1, string.find(value, ":", 1, true) - 1)
  if age > oldest then oldest = age end
  if age >= least then
    reply[#reply + 1] = page[2][k]
    reply[#reply + 1] = value
  end
end
reply[2] = math.floor(oldest / 1000)
return reply
