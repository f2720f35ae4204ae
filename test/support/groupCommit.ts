/**
 * Whether this is what a group commit reaches MySQL or MariaDB with, whole: the call of the procedure, or the text that
 * sorts claims out.
 */
export const isGroupCommit = (bytes: Buffer): boolean =>
  bytes.includes("CALL issue_dated_batch(") || bytes.includes("INSERT INTO coupons")
