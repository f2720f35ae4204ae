-- Codes of any shape, and pools of own codes (docs/internals/decisions.md, "Codes of any shape").
-- Each ALTER changes the dictionary alone, on MySQL and MariaDB, and fails where it could not: 63 characters of 4 bytes
-- are the most whose length takes one byte. With 64 MySQL would copy the table, and every commit would wait for that.

ALTER TABLE coupons MODIFY code VARCHAR(63) NOT NULL, ALGORITHM = INPLACE, LOCK = NONE;

-- code_spec: NULL for the default format, which is also that of campaigns of before; POOL; or a format as JSON.
-- code_count: how many codes the campaign's pool has, those of unfinished imports left out.
-- Run again, this changes nothing: the columns are there.
SELECT COUNT(*) = 0 INTO @missing FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = 'campaigns' AND column_name = 'code_spec';

SET @alter = IF(
  @missing,
  'ALTER TABLE campaigns ADD COLUMN code_spec VARCHAR(500) NULL, ADD COLUMN code_count INT NOT NULL DEFAULT 0',
  'DO 0'
);

PREPARE alter_campaigns FROM @alter;

EXECUTE alter_campaigns;

DEALLOCATE PREPARE alter_campaigns;
