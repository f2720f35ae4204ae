-- Reads CouponIssued events that follow a position.
--
-- KEYS[1] e, CouponIssued events
-- ARGV    id of the last event seen (0-0: none) or "" to ask where the stream ends, most events to return
-- Returns { id to go on from, event* }, an event being { id, { "id", n, "user", n, "code", text, "at", millis } }
--
-- A stream that was lost begins anew, and on a replica with a slower clock at ids lower than the reader's: then read it
-- from its beginning (twice rather than never).
local top = redis.call("XREVRANGE", KEYS[1], "+", "-", "COUNT", 1)
local last = top[1] and top[1][1] or "0-0"
if ARGV[1] == "" then return { last } end

local cursor = ARGV[1]
local lastMillis, lastSequence = string.match(last, "(%d+)-(%d+)")
local millis, sequence = string.match(cursor, "(%d+)-(%d+)")
lastMillis, lastSequence, millis, sequence = tonumber(lastMillis), tonumber(lastSequence), tonumber(millis), tonumber(sequence)
if lastMillis < millis or (lastMillis == millis and lastSequence < sequence) then cursor = "0-0" end

local events = redis.call("XRANGE", KEYS[1], "(" .. cursor, "+", "COUNT", ARGV[2])
local reply = { #events > 0 and events[#events][1] or cursor }
for k = 1, #events do reply[k + 1] = events[k] end
return reply
