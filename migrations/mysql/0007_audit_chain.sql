-- What shows that the audit log is whole. Rows are only added: no instance may change or delete one.
-- admin_audit_facts: who acted, besides the name; in the transaction of the act. A row of an earlier version has none.
-- outcome: DONE, or REFUSED for an act that was not allowed or could not be done.

CREATE TABLE IF NOT EXISTS admin_audit_facts (
  change_id BINARY(16) NOT NULL,
  key_id VARCHAR(16) NULL,
  role VARCHAR(10) NULL,
  address VARCHAR(64) NULL,
  request_id VARCHAR(64) NULL,
  outcome VARCHAR(10) NOT NULL,
  PRIMARY KEY (change_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;

-- The chain: an act's place in it, and the SHA-256 of the hash before, the place, and the act with its facts. Any
-- instance adds the acts that have no place yet, those of earlier versions too (src/sql/SqlAuditChain.ts).
CREATE TABLE IF NOT EXISTS admin_audit_chain (
  sequence BIGINT NOT NULL,
  audit_id BIGINT NOT NULL,
  hash CHAR(64) NOT NULL,
  sealed_at DATETIME(6) NOT NULL,
  PRIMARY KEY (sequence),
  UNIQUE KEY admin_audit_chain_act (audit_id),
  CONSTRAINT admin_audit_chain_sequence CHECK (sequence >= 1)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;

-- The end of the chain. Who adds to it holds the lock of this row.
-- audit_id: the greatest id that has a place.
CREATE TABLE IF NOT EXISTS admin_audit_head (
  id TINYINT NOT NULL,
  sequence BIGINT NOT NULL,
  hash CHAR(64) NOT NULL,
  audit_id BIGINT NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT admin_audit_head_one CHECK (id = 1)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;

INSERT INTO admin_audit_head (id, sequence, hash, audit_id)
SELECT 1, 0, REPEAT('0', 64), 0 FROM (SELECT COUNT(*) AS already FROM admin_audit_head) AS there
WHERE there.already = 0;
