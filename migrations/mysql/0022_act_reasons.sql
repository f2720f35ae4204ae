-- Why an administrative act was done, as its caller said; in the transaction of the act, as the other facts are.
-- Run again, this changes nothing: the column is there.
SELECT COUNT(*) = 0 INTO @missing FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = 'admin_audit_facts' AND column_name = 'reason';

SET @alter = IF(
  @missing,
  'ALTER TABLE admin_audit_facts ADD COLUMN reason VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL',
  'DO 0'
);

PREPARE alter_facts FROM @alter;

EXECUTE alter_facts;

DEALLOCATE PREPARE alter_facts;
