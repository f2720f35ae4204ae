import { LedgerUnavailable } from "../ports/Ledger.ts"

/**
 * What an error inside a group commit proves:
 * - `NotSent`: the driver refused the text before a byte of it was written; nothing happened;
 * - `Retry`: the transaction is lost but its work may simply be tried again, after an explicit ROLLBACK;
 * - `CodeTaken`: another coupon of the campaign has one of the codes; try again with new ones, after ROLLBACK;
 * - `Rejected`: a statement before COMMIT failed for good: after ROLLBACK nothing can have been committed;
 * - `ReadOnly`: as `Rejected`, and this server takes no writes any more (a failover): leave the connection too;
 * - `InDoubt`: everything else. The connection may have died after COMMIT was sent, COMMIT itself may have failed half
 *   way, or the error is an unknown one.
 */
export type SqlFailure = "NotSent" | "Retry" | "CodeTaken" | "Rejected" | "ReadOnly" | "InDoubt"

/** A property of an error, whatever the error is. */
export const errorField = (cause: unknown, name: string): unknown =>
  typeof cause === "object" && cause !== null && name in cause ? (cause as Record<string, unknown>)[name] : undefined

/** The error of the driver inside whatever wraps it. */
export const driverError = (error: unknown): unknown =>
  errorField(error, "_tag") === "SqlError" ? errorField(error, "cause") : error

/** The failure of what needed the database, and did nothing. */
export const unavailable = (cause: unknown): LedgerUnavailable => {
  const error = driverError(cause)
  // Only the driver of MySQL says `fatal`: the connection is gone, and no server said why.
  const isOutage = errorField(error, "fatal") === true && !(Number(errorField(error, "errno")) > 0)
  return new LedgerUnavailable({ cause, isOutage })
}
