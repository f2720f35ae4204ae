-- The rights of the serving user. An administrator runs this after the first migration, and again after an upgrade that
-- adds tables or a procedure. The service can delete no row of coupons, and change none but for its user, who may be
-- erased. It can change or delete no row of the audit log, no role or secret of a key, no limit that a key had, and no
-- table.

GRANT SELECT, INSERT, UPDATE
    (name, coupon_limit, current_coupon, status, start_time, end_time, version, updated_at, code_spec, code_count,
     validity_version, undo_window_millis, returned)
  ON coupon.campaigns TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE (user_id) ON coupon.coupons TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE (user_id), DELETE ON coupon.erased_coupons TO 'coupon'@'%';
-- DELETE settles an event; FOR UPDATE SKIP LOCKED asks for it, too.
GRANT SELECT, INSERT, DELETE ON coupon.outbox TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE ON coupon.campaign_raises TO 'coupon'@'%';
GRANT SELECT, INSERT ON coupon.campaign_requests TO 'coupon'@'%';
GRANT SELECT, INSERT ON coupon.admin_audit TO 'coupon'@'%';
GRANT SELECT, INSERT ON coupon.admin_audit_facts TO 'coupon'@'%';
-- Places are only added to the chain; its end moves on.
GRANT SELECT, INSERT ON coupon.admin_audit_chain TO 'coupon'@'%';
GRANT SELECT, UPDATE (sequence, hash, audit_id) ON coupon.admin_audit_head TO 'coupon'@'%';
-- A key is made and revoked; its role and its secret never change. New limits are added to the former ones.
GRANT SELECT, INSERT, UPDATE (revoked_at) ON coupon.api_keys TO 'coupon'@'%';
GRANT SELECT, INSERT ON coupon.api_key_limits TO 'coupon'@'%';
GRANT SELECT, INSERT ON coupon.api_key_ends TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE (last_day) ON coupon.api_key_use TO 'coupon'@'%';
-- A session of the console is there until it ends, and never changes.
GRANT SELECT, INSERT, DELETE ON coupon.console_sessions TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE ON coupon.campaign_phases TO 'coupon'@'%';
GRANT SELECT, INSERT ON coupon.campaign_phase_log TO 'coupon'@'%';
-- Events are added, and removed by EVENT_RETENTION; none is changed.
GRANT SELECT, INSERT, DELETE ON coupon.campaign_events TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE ON coupon.campaign_event_heads TO 'coupon'@'%';
-- Endpoints come and go, cursors move, attempts and what was set aside are removed.
GRANT SELECT, INSERT, UPDATE, DELETE ON coupon.webhook_endpoints TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE ON coupon.webhook_cursors TO 'coupon'@'%';
GRANT SELECT, INSERT, DELETE ON coupon.webhook_attempts TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE ON coupon.webhook_parked TO 'coupon'@'%';
-- Redemptions are only added to, each with its answer; a state goes away when its redemption is undone.
GRANT SELECT, INSERT ON coupon.redemptions TO 'coupon'@'%';
GRANT SELECT, INSERT, DELETE ON coupon.coupon_states TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE ON coupon.redemption_heads TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE ON coupon.redemption_log_heads TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE ON coupon.code_log_heads TO 'coupon'@'%';
-- A validity that was set stays: coupons were promised by it.
GRANT SELECT, INSERT ON coupon.coupon_validities TO 'coupon'@'%';
-- The migration makes its identity; an instance notes when it first served in production. Writes of keys lock the row.
GRANT SELECT, UPDATE (served_in_production_at) ON coupon.deployment TO 'coupon'@'%';
-- A code of a pool is added, and removed if its import is given up; it never changes.
GRANT SELECT, INSERT, DELETE ON coupon.code_pool TO 'coupon'@'%';
GRANT SELECT, INSERT, UPDATE ON coupon.code_imports TO 'coupon'@'%';
GRANT SELECT, INSERT, DELETE ON coupon.code_import_chunks TO 'coupon'@'%';
GRANT SELECT, INSERT ON coupon.coupon_batches TO 'coupon'@'%';
-- To check that the schema is the right one.
GRANT SELECT ON coupon.schema_migrations TO 'coupon'@'%';
-- They run with the user's own rights. Leave one out if the migration that creates it was rejected.
GRANT EXECUTE ON PROCEDURE coupon.issue_batch TO 'coupon'@'%';
GRANT EXECUTE ON PROCEDURE coupon.issue_batch_by TO 'coupon'@'%';
GRANT EXECUTE ON PROCEDURE coupon.issue_pool_batch TO 'coupon'@'%';
GRANT EXECUTE ON PROCEDURE coupon.issue_dated_batch TO 'coupon'@'%';
GRANT EXECUTE ON PROCEDURE coupon.issue_dated_pool_batch TO 'coupon'@'%';

-- MySQL only, to find the primary of a replication group. MariaDB has no such table: there this last statement fails.
GRANT SELECT ON performance_schema.replication_group_members TO 'coupon'@'%';
