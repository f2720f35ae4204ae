-- Forgets a campaign, as a flush would; the memory is freed in the background.
--
-- KEYS    m, i, p, e
-- ARGV    none
-- Returns how many of the keys there were
return redis.call("UNLINK", KEYS[1], KEYS[2], KEYS[3], KEYS[4])
