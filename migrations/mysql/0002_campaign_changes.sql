-- The audit log: who changed what, written in the transaction of the change. change_id is the key of the change's
-- outbox marker: a row here proves that a commit in doubt went through, also after the relay has deleted its event.
-- before_state and after_state are JSON, as text, so that what was written is what is read.

CREATE TABLE IF NOT EXISTS admin_audit (
  id BIGINT NOT NULL AUTO_INCREMENT,
  change_id BINARY(16) NOT NULL,
  at DATETIME(6) NOT NULL,
  actor VARCHAR(200) NOT NULL,
  action VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  campaign_id INT NULL,
  before_state TEXT NULL,
  after_state TEXT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY admin_audit_change (change_id),
  KEY admin_audit_campaign (campaign_id, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- A limit that a campaign is about to be raised to. It is announced here, and to the gate, before the campaign itself
-- changes. So a gate that is rebuilt meanwhile has it too: the gate's limit is never below the ledger's. The campaign's
-- next change deletes the row. A row that is left over only lets more claims through to the ledger.
CREATE TABLE IF NOT EXISTS campaign_raises (
  campaign_id INT NOT NULL,
  announced_limit BIGINT NOT NULL,
  PRIMARY KEY (campaign_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
