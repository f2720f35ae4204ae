-- The MySQL migration of the same name explains the columns.

ALTER TABLE campaigns ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;

ALTER TABLE redemptions ADD COLUMN slot_returned INTEGER NOT NULL DEFAULT 0;
