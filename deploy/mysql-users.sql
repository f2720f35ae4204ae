-- The two users of the database `coupon`, for an administrator to create once. Replace the two @…@ by passwords.
-- `coupon_owner` migrates the schema (MYSQL_MIGRATION_URL, `npm run migrate`) and does nothing else. `coupon` serves
-- (MYSQL_URL); mysql-grants.sql gives it its rights, once the tables exist.

CREATE DATABASE IF NOT EXISTS coupon;
CREATE USER IF NOT EXISTS 'coupon_owner'@'%' IDENTIFIED BY '@OWNER_PASSWORD@';
CREATE USER IF NOT EXISTS 'coupon'@'%' IDENTIFIED BY '@PASSWORD@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, CREATE ROUTINE, ALTER ROUTINE
  ON coupon.* TO 'coupon_owner'@'%';
