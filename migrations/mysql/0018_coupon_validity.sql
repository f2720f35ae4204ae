-- How long coupons are valid (docs/internals/protocol.md, "Expiry"). A claim neither reads nor writes the table, and
-- each ALTER changes the dictionary alone.

-- The validities of each campaign, in the order in which they were set. Only added to: when a coupon expires follows
-- from its row of coupons and from the last of these rows whose first_id is not above its number.
-- - version: that of the campaign, to which the change led that set this
-- - policy: JSON; NULL: coupons do not expire
-- - zone_rules: what the time zone database said of the policy's zone at that time
CREATE TABLE IF NOT EXISTS coupon_validities (
  campaign_id INT NOT NULL,
  version BIGINT NOT NULL,
  first_id INT NOT NULL,
  policy VARCHAR(255) NULL,
  zone_rules TEXT NULL,
  PRIMARY KEY (campaign_id, version)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;

-- validity_version: the newest row of coupon_validities; NULL: the campaign has none, and coupons do not expire.
-- undo_window_millis: NULL for 24 hours.
-- Run again, this changes nothing: the columns are there.
SELECT COUNT(*) = 0 INTO @missing FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = 'campaigns' AND column_name = 'validity_version';

SET @alter = IF(
  @missing,
  'ALTER TABLE campaigns ADD COLUMN validity_version BIGINT NULL, ADD COLUMN undo_window_millis BIGINT NULL',
  'DO 0'
);

PREPARE alter_campaigns FROM @alter;

EXECUTE alter_campaigns;

DEALLOCATE PREPARE alter_campaigns;
