-- Reads CouponIssued events that follow a position.
--
-- KEYS[1] m, the campaign's terms, generation and owner
-- KEYS[2] e, CouponIssued events
-- ARGV    identity of the deployment, id of the last event seen (0-0: none) or "" to ask where the stream ends, most events
--         to return
-- Returns { id to go on from, event* }, an event being { id, { "id", n, "user", n, "code", text, "at", millis } }
-- Fails   FOREIGN identity, UNCLAIMED (src/redis/GateOwner.ts)
--
-- A stream that was lost begins anew, and on a replica with a slower clock at ids lower than the reader's: then read it
-- from its beginning (twice rather than never).
local owner = redis.call("HGET", KEYS[1], "deployment")
if owner and owner ~= ARGV[1] then return redis.error_reply("FOREIGN " .. owner) end
local top = redis.call("XREVRANGE", KEYS[2], "+", "-", "COUNT", 1)
local last = top[1] and top[1][1] or "0-0"
if not owner and #top > 0 then return redis.error_reply("UNCLAIMED the keys have no owner") end
if ARGV[2] == "" then return { last } end

local cursor = ARGV[2]
local lastMillis, lastSequence = string.match(last, "(%d+)-(%d+)")
local millis, sequence = string.match(cursor, "(%d+)-(%d+)")
lastMillis, lastSequence, millis, sequence = tonumber(lastMillis), tonumber(lastSequence), tonumber(millis), tonumber(sequence)
if lastMillis < millis or (lastMillis == millis and lastSequence < sequence) then cursor = "0-0" end

local events = redis.call("XRANGE", KEYS[2], "(" .. cursor, "+", "COUNT", ARGV[3])
local reply = { #events > 0 and events[#events][1] or cursor }
for k = 1, #events do reply[k + 1] = events[k] end
return reply
