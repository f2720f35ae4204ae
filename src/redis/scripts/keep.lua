-- In front of the scripts that apply terms: a function that says until when the keys of a campaign are kept.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] i, users with a coupon
-- KEYS[3] p, reservations in flight
-- KEYS[4] e, CouponIssued events
-- ARGV    those of the script
--
-- So long after the end: the time that is set, or now if the campaign was ended or is past it. Without an end: for good.
-- A user of Redis that may not set this (deploy/redis-users.acl of an earlier version) keeps them for good, too.
local function keep(millis, status, ends, kept)
  local over = tonumber(ends)
  if status == "ENDED" or (over and over < millis) then over = millis end
  if over then
    local expires = string.format("%.0f", over + kept)
    redis.call("HSET", KEYS[1], "expires", expires)
    redis.pcall("PEXPIREAT", KEYS[1], expires)
    redis.pcall("PEXPIREAT", KEYS[2], expires)
    redis.pcall("PEXPIREAT", KEYS[3], expires)
    redis.pcall("PEXPIREAT", KEYS[4], expires)
  elseif redis.call("HDEL", KEYS[1], "expires") == 1 then
    redis.pcall("PERSIST", KEYS[1])
    redis.pcall("PERSIST", KEYS[2])
    redis.pcall("PERSIST", KEYS[3])
    redis.pcall("PERSIST", KEYS[4])
  end
end
