-- Gives slots back: compare-and-delete.
--
-- KEYS[1] p, user -> microseconds:nonce of reservations in flight
-- ARGV    (user id, value)*
-- Returns how many it deleted
local deleted = 0
for k = 1, #ARGV, 2 do
  if redis.call("HGET", KEYS[1], ARGV[k]) == ARGV[k + 1] then
    deleted = deleted + redis.call("HDEL", KEYS[1], ARGV[k])
  end
end
return deleted
