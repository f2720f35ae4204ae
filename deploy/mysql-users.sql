-- The two users of the database `coupon`, for an administrator to create once. Put passwords in place of the two in @…@.
-- `coupon_owner` migrates the schema (MYSQL_MIGRATION_URL, `npm run migrate`) and is needed for nothing else. `coupon` serves
-- (MYSQL_URL); what it may do comes with mysql-grants.sql, once the tables are there.

CREATE DATABASE IF NOT EXISTS coupon;
CREATE USER IF NOT EXISTS 'coupon_owner'@'%' IDENTIFIED BY '@OWNER_PASSWORD@';
CREATE USER IF NOT EXISTS 'coupon'@'%' IDENTIFIED BY '@PASSWORD@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, CREATE ROUTINE, ALTER ROUTINE ON coupon.* TO 'coupon_owner'@'%';
