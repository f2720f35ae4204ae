-- Users of coupons that are erased (docs/internals/protocol.md, "Erasure"). A claim neither reads nor writes the table.

-- The coupons whose users were erased lately, until the gate and all instances know.
-- - user_id: who it was, until the gate knows; NULL: it does
-- - change_id: that of the row in the audit log
CREATE TABLE IF NOT EXISTS erased_coupons (
  campaign_id INT NOT NULL,
  coupon_id INT NOT NULL,
  user_id BIGINT NULL,
  change_id BINARY(16) NOT NULL,
  at DATETIME(6) NOT NULL,
  PRIMARY KEY (campaign_id, coupon_id),
  KEY erased_coupons_at (at)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;

-- The user of an erased coupon is the coupon's number with a minus: no user has it. The check of the column knew users
-- alone. To drop it changes the dictionary alone, and another one would copy the table under a lock.
-- Run again, this changes nothing: the check is gone.
SELECT COUNT(*) > 0 INTO @there FROM information_schema.table_constraints
WHERE constraint_schema = DATABASE() AND table_name = 'coupons' AND constraint_name = 'coupons_user_id';

SET @alter = IF(@there, 'ALTER TABLE coupons DROP CONSTRAINT coupons_user_id, ALGORITHM = INPLACE', 'DO 0');

PREPARE alter_coupons FROM @alter;

EXECUTE alter_coupons;

DEALLOCATE PREPARE alter_coupons;
