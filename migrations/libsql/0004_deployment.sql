-- The MySQL migration `deployment` says what this is for. The embedded gate has no keys, and so no prefix.

CREATE TABLE IF NOT EXISTS deployment (
  id INTEGER PRIMARY KEY,
  identity TEXT NOT NULL,
  served_in_production_at INTEGER NULL,
  CONSTRAINT deployment_one CHECK (id = 1)
) STRICT;

INSERT INTO deployment (id, identity)
SELECT 1, LOWER(HEX(RANDOMBLOB(8)))
WHERE NOT EXISTS (SELECT 1 FROM deployment);
