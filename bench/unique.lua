-- wrk: every request names another user (or, with a third argument, one of that many), in one campaign.
--   wrk -s bench/unique.lua URL -- CAMPAIGN FIRST_USER [USERS]
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local sent, first, users, body = 0, 0, 0, ""
function init(args)
  first, users = tonumber(args[2]) + number * 100000000, tonumber(args[3] or "0")
  body = string.format('{"campaignId":%s,"userId":', args[1])
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  local user = users > 0 and first + sent % users or first + sent
  sent = sent + 1
  return wrk.format(nil, nil, nil, body .. string.format("%d", user) .. "}")
end

function done(summary)
  local e = summary.errors
  io.stderr:write(string.format('{"seconds":%f,"requests":%d,"rejected":%d,"broken":%d}\n',
    summary.duration / 1e6, summary.requests, e.status, e.connect + e.read + e.write + e.timeout))
end
