-- In front of the scripts that add facts: a function that looks whose the keys are, and whether events were lost.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] i, users with a coupon
-- KEYS[3] p, reservations in flight
-- KEYS[4] e, CouponIssued events
-- ARGV    those of the script
--
-- Returns an error or nil, and whether there are events. Keys that nothing is in become this deployment's.
-- Fails with LOST if `after`, the id of an event or "", is not in the stream: Redis lost its last writes, or more.
-- All keys are read before anything is written: one of another type fails here.
local function own(identity, after)
  local owner = redis.call("HGET", KEYS[1], "deployment")
  if owner and owner ~= identity then return redis.error_reply("FOREIGN " .. owner) end
  local issued = redis.call("SCARD", KEYS[2])
  local pending = redis.call("HLEN", KEYS[3])
  local hasEvents = #redis.call("XREVRANGE", KEYS[4], "+", "-", "COUNT", 1) > 0
  if after ~= "" and #redis.call("XRANGE", KEYS[4], after, after) == 0 then
    return redis.error_reply("LOST the event " .. after)
  end
  if not owner then
    if issued > 0 or pending > 0 or hasEvents or redis.call("HLEN", KEYS[1]) > 0 then
      return redis.error_reply("UNCLAIMED the keys have no owner")
    end
    redis.call("HSET", KEYS[1], "deployment", identity)
  end
  return nil, hasEvents
end
