-- The MySQL migration of the same name explains the table and the columns.

CREATE TABLE IF NOT EXISTS coupon_validities (
  campaign_id INTEGER NOT NULL,
  version INTEGER NOT NULL,
  first_id INTEGER NOT NULL,
  policy TEXT NULL,
  zone_rules TEXT NULL,
  PRIMARY KEY (campaign_id, version)
) STRICT, WITHOUT ROWID;

ALTER TABLE campaigns ADD COLUMN validity_version INTEGER NULL;

ALTER TABLE campaigns ADD COLUMN undo_window_millis INTEGER NULL;
