-- The MySQL migration `codes` says what this is for.

ALTER TABLE campaigns ADD COLUMN code_spec TEXT NULL;

ALTER TABLE campaigns ADD COLUMN code_count INTEGER NOT NULL DEFAULT 0;
