import { driverError, errorField, type SqlFailure } from "../SqlFailure.ts"

/**
 * Errors by MySQL's and MariaDB's number. Only errors that cannot stem from COMMIT itself may stand here: 1053 (server
 * shutdown), 1180 (error during COMMIT), 1317 (interrupted; also a COMMIT waiting for a semi-synchronous replica), 1598
 * (binary log), 3032 (offline mode), 3100 and 3101 are left out on purpose and so are in doubt. A certification failure
 * of Galera is a 1213 of COMMIT, by which the server promises that it rolled back. Not so Group Replication's 3101 (the
 * plugin rolled back in COMMIT) and 3100 (a hook in COMMIT failed): a primary that lost its majority says them of
 * transactions too that it had sent to the group already, and the majority may have taken them.
 */
const byNumber: { readonly [errno: number]: SqlFailure } = {
  1205: "Retry", // lock wait timeout: undid its statement only, hence the explicit ROLLBACK
  1213: "Retry", // deadlock
  1020: "Retry", // record has changed since last read (MariaDB, innodb_snapshot_isolation)

  1290: "ReadOnly", // --read-only; COMMIT under it rolls back before it says so
  1792: "ReadOnly", // read-only transaction
  1836: "ReadOnly", // read-only mode

  1040: "Rejected", // too many connections
  1041: "Rejected", // out of memory
  1044: "Rejected", // access denied to the database
  1045: "Rejected", // access denied
  1046: "Rejected", // no database selected
  1048: "Rejected", // a column cannot be null: the guard of the counter
  1049: "Rejected", // unknown database
  1054: "Rejected", // unknown column
  1064: "Rejected", // syntax error
  1114: "Rejected", // table full
  1142: "Rejected", // command denied
  1146: "Rejected", // no such table
  1153: "Rejected", // packet too large: the text was never parsed
  1203: "Rejected", // too many connections of this user
  1226: "Rejected", // resource limit of this user
  1264: "Rejected", // out of range
  1305: "Rejected", // no such procedure
  1370: "Rejected", // procedure denied
  1406: "Rejected", // data too long
  // Group Replication, at the beginning of a transaction: a new primary still applies its backlog, or there is no
  // member.
  3098: "Rejected", // not allowed by a plugin, before the statement
  3781: "Rejected", // held for too long
  3782: "Rejected", // killed while it was held
  3783: "Rejected", // the member left while it was held
  3796: "Rejected", // consistency level not available in this state
  3797: "Rejected", // waiting for preceding transactions failed
  3798: "Rejected", // waiting for preceding transactions failed
  3799: "Rejected", // the member cannot begin a transaction

  3819: "Rejected", // CHECK constraint (MySQL)
  4025: "Rejected" // CHECK constraint (MariaDB)
}

const DUPLICATE_KEY = 1062

/** The key of the requests by which campaigns were made. */
export const REQUEST_KEY = "campaign_requests_id"

/** mysql2 refuses a command on a connection that it knows to be closed, by this message alone. */
const CLOSED_STATE = "Can't add new command when connection is in closed state"

/** The server's error number, or `undefined`: the error is not one that the server reported. */
export const mysqlErrno = (error: unknown): number | undefined => {
  const cause = driverError(error)
  const errno = errorField(cause, "errno")
  // Errors of sockets have an errno too: the negative one of the operating system.
  return typeof errno === "number" && errno > 0 && errorField(cause, "fatal") !== true ? errno : undefined
}

/** Whether the error is a duplicate key: `key` is part of its name, e.g. `coupons_code`. */
export const isDuplicateKey = (error: unknown, key?: string): boolean =>
  mysqlErrno(error) === DUPLICATE_KEY &&
  (key === undefined ||
    /for key '([^']*)'$/.exec(String(errorField(driverError(error), "message")))?.[1]?.includes(key) === true)

/** Classifies an error of the text of a group commit on MySQL or MariaDB. */
export const classifyMysql = (error: unknown): SqlFailure => {
  if (errorField(driverError(error), "message") === CLOSED_STATE) return "NotSent"
  const errno = mysqlErrno(error)
  if (errno === undefined) return "InDoubt"
  if (errno === DUPLICATE_KEY) {
    if (isDuplicateKey(error, "coupons_code")) return "CodeTaken"
    // A chunk of an import, which is sorted out then (`SqlCodeImports`).
    if (isDuplicateKey(error, "code_pool_code")) return "Rejected"
    if (isDuplicateKey(error, REQUEST_KEY)) return "Rejected"
    // The claims that hold a coupon were left out under the campaign's lock; an engine whose snapshot lags behind its
    // locks may still find one here, and sees it next time. Any other key is the marker's: this batch was voided.
    // A coupon id taken twice means a counter that is behind its coupons: `verify` shows it, and no attempt will help.
    if (isDuplicateKey(error, "redemptions.") || isDuplicateKey(error, "coupon_states.")) return "Retry"
    if (isDuplicateKey(error, "coupons.PRIMARY") || isDuplicateKey(error, "coupons_user")) return "Retry"
    return "InDoubt"
  }
  return byNumber[errno] ?? "InDoubt"
}
