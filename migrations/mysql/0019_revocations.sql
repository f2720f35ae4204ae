-- Coupons that are revoked (docs/internals/protocol.md, "Revocation"). Both ALTERs change the dictionary alone.
-- campaigns.returned: how many slots were returned by revocations. Each has raised coupon_limit by one as well.
-- redemptions.slot_returned: whether a revocation has returned its slot, or was to return it.
-- Run again, this changes nothing: the columns are there.

SELECT COUNT(*) = 0 INTO @missing FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = 'campaigns' AND column_name = 'returned';

SET @alter = IF(@missing, 'ALTER TABLE campaigns ADD COLUMN returned INT NOT NULL DEFAULT 0', 'DO 0');

PREPARE alter_campaigns FROM @alter;

EXECUTE alter_campaigns;

DEALLOCATE PREPARE alter_campaigns;

SELECT COUNT(*) = 0 INTO @missing FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = 'redemptions' AND column_name = 'slot_returned';

SET @alter = IF(@missing, 'ALTER TABLE redemptions ADD COLUMN slot_returned TINYINT NOT NULL DEFAULT 0', 'DO 0');

PREPARE alter_redemptions FROM @alter;

EXECUTE alter_redemptions;

DEALLOCATE PREPARE alter_redemptions;
