-- The MySQL migration of the same name explains the table.

CREATE TABLE IF NOT EXISTS erased_coupons (
  campaign_id INTEGER NOT NULL,
  coupon_id INTEGER NOT NULL,
  user_id INTEGER NULL,
  change_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, coupon_id)
) STRICT, WITHOUT ROWID;

-- SQLite drops a check by a new table, which would copy every coupon, or, as its documentation of ALTER TABLE has it,
-- by editing the text of the schema, which leaves the rows alone. The table above has it read the schema again.
PRAGMA writable_schema = ON;

UPDATE sqlite_schema SET sql = REPLACE(sql, ',
  CONSTRAINT coupons_user_id CHECK (user_id > 0)', '')
WHERE type = 'table' AND name = 'coupons';

PRAGMA writable_schema = RESET;
