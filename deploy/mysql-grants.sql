-- What the serving user may do, for an administrator to run after the first migration, and again after an upgrade that adds
-- tables or a procedure. No row of coupons or of the audit can be changed or deleted by the service, and no table.

GRANT SELECT, INSERT, UPDATE ON coupon.campaigns TO 'coupon'@'%';
GRANT SELECT, INSERT ON coupon.coupons TO 'coupon'@'%';
-- DELETE settles an event; FOR UPDATE SKIP LOCKED asks for it, too.
GRANT SELECT, INSERT, DELETE ON coupon.outbox TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE ON coupon.campaign_raises TO 'coupon'@'%';
GRANT SELECT, INSERT ON coupon.admin_audit TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE ON coupon.api_keys TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE ON coupon.campaign_phases TO 'coupon'@'%';
GRANT SELECT, INSERT ON coupon.campaign_phase_log TO 'coupon'@'%';
-- Its identity is made by the migration; an instance notes when it first served in production.
GRANT SELECT, UPDATE (served_in_production_at) ON coupon.deployment TO 'coupon'@'%';
-- To see that the schema is the right one.
GRANT SELECT ON coupon.schema_migrations TO 'coupon'@'%';
-- It does with these tables what the user itself may do. Leave it out where the migration that creates it was refused.
GRANT EXECUTE ON PROCEDURE coupon.issue_batch TO 'coupon'@'%';

-- MySQL only (MariaDB has no such table, and this, the last statement, fails there): to find the primary of a replication group.
GRANT SELECT ON performance_schema.replication_group_members TO 'coupon'@'%';
