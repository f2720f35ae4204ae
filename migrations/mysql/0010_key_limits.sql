-- What bounds an API key besides its role and rate. Rows are only added: the role, the secret and the rate of a key
-- stay as they were made (0003).

-- The row with the greatest version is in effect; a key without a row has no limits. networks: a JSON array of
-- addresses and networks in CIDR notation. campaigns: a JSON array of ids. NULL: no such limit.
CREATE TABLE IF NOT EXISTS api_key_limits (
  key_id CHAR(16) NOT NULL,
  version INT NOT NULL,
  expires_at DATETIME(6) NULL,
  networks VARCHAR(2000) NULL,
  campaigns VARCHAR(2000) NULL,
  set_at DATETIME(6) NOT NULL,
  PRIMARY KEY (key_id, version),
  CONSTRAINT api_key_limits_version CHECK (version >= 1)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;

-- Keys that were replaced: by which one, and when their own time ends.
CREATE TABLE IF NOT EXISTS api_key_ends (
  key_id CHAR(16) NOT NULL,
  successor CHAR(16) NOT NULL,
  ends_at DATETIME(6) NOT NULL,
  PRIMARY KEY (key_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;

-- The last day, in UTC, on which a key was used. Each instance writes it once a day and key.
CREATE TABLE IF NOT EXISTS api_key_use (
  key_id CHAR(16) NOT NULL,
  last_day DATE NOT NULL,
  PRIMARY KEY (key_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;
