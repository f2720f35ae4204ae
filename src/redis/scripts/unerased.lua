-- In front of the scripts that add users: a function that leaves out former users of coupons that were erased.
--
-- KEYS[2] i, users with a coupon
-- ARGV    those of the script, with a block of users at `first` and as many coupon ids after it
--
-- A coupon that was erased has its number with a minus as its member of the set. What was read before that has its former
-- user. Returns the users that may be added, and whether there is such a member among them.
local function unerased(first, count)
  local MOST = 1000 -- unpack() of some 8,000 overflows Lua's stack
  local users, found = {}, false
  for from = 0, count - 1, MOST do
    local size = math.min(MOST, count - from)
    local marks = {}
    for k = 1, size do marks[k] = "-" .. ARGV[first + count + from + k - 1] end
    local erased = redis.call("SMISMEMBER", KEYS[2], unpack(marks))
    for k = 1, size do
      local user = ARGV[first + from + k - 1]
      if user == marks[k] then found = true end
      if user == marks[k] or erased[k] == 0 then users[#users + 1] = user end
    end
  end
  return users, found
end
