import { driverError, errorField, type SqlFailure } from "../SqlFailure.ts"
import { NOT_RUN } from "./GuardedDriver.ts"

/**
 * Classifies an error of a group commit on libSQL. Here too a failure of COMMIT proves nothing: when the flush to disk
 * fails, a recovery after a crash may still find the frames in the write-ahead log and take them for committed.
 */
export const classifyLibsql = (error: unknown): SqlFailure => {
  const cause = driverError(error)
  const code = String(errorField(cause, "code"))
  const message = String(errorField(cause, "message"))
  if (code.startsWith("SQLITE_CONSTRAINT")) {
    if (message.includes("coupons.code")) return "CodeTaken"
    return message.includes("outbox.batch_id") ? "InDoubt" : "Rejected"
  }
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) return "Retry"
  // DISPLACED is in doubt: the transaction is in a file that may be put back, or never be found again.
  const rejected = code.startsWith("SQLITE_READONLY") || ["SQLITE_CANTOPEN", "CLIENT_CLOSED", NOT_RUN].includes(code)
  return rejected ? "Rejected" : "InDoubt"
}
