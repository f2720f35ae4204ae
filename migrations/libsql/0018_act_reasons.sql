-- The MySQL migration of the same name says what this is for.

ALTER TABLE admin_audit_facts ADD COLUMN reason TEXT NULL;
