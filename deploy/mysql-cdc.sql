-- The user by which Debezium reads what is committed (docs/guides/cdc.md), for an administrator to create once the
-- tables exist. Replace @CDC_PASSWORD@ by a password. It sees two tables, and the whole binary log of the server, in
-- which all of its databases are: it is no user for others. It takes no lock.

CREATE USER IF NOT EXISTS 'coupon_cdc'@'%' IDENTIFIED BY '@CDC_PASSWORD@';
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'coupon_cdc'@'%';
GRANT SELECT ON coupon.campaign_events TO 'coupon_cdc'@'%';
GRANT SELECT ON coupon.coupons TO 'coupon_cdc'@'%';
