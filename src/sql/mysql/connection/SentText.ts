import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Backoff from "../../../base/Backoff.ts"
import { runText } from "./Pool.ts"
import type { SqlFailure } from "../../SqlFailure.ts"
import { classifyMysql, mysqlErrno } from "../MySqlFailure.ts"

/** A failed text whose transaction is over: rolled back, or never begun, or beyond our reach. */
export interface FailedText {
  readonly failure: SqlFailure
  readonly cause: SqlError
}

/** The results of a text, one a statement, or why there are none. */
export type SentText = Either.Either<ReadonlyArray<unknown>, FailedText>

/** KILL, because the pool must not hand this connection out again and offers no other way to say so. */
const drop = (connection: Connection): Effect.Effect<void> => Effect.ignore(runText(connection, "KILL CONNECTION_ID()"))

/** Between attempts to roll back, while the server refuses: 1 ms growing to 100 ms. */
const untilOver = Backoff.schedule({ firstMillis: 1, lastMillis: 100 })

/**
 * Ends the transaction that is open on a connection. Returns whether it was rolled back; if not, the connection is
 * gone. Only these two will do: ROLLBACK, and KILL, can be killed themselves (KILL QUERY), and a connection that goes
 * back to the pool with a transaction open commits it with the next START TRANSACTION.
 */
export const endTransaction = (connection: Connection): Effect.Effect<boolean> =>
  Effect.matchEffect(runText(connection, "ROLLBACK"), {
    onSuccess: () => Effect.succeed(true),
    onFailure: (cause) =>
      mysqlErrno(cause) === undefined
        ? Effect.succeed(false)
        : Effect.zipRight(drop(connection), Effect.fail(cause))
  }).pipe(Effect.retry(untilOver), Effect.orDie)

/**
 * Ends the transaction that a failed text left open, and says what the failure proves. A proof counts only if ROLLBACK
 * went through. mysqld keeps a transaction open after any error but a deadlock, also after 1205 (PROTOCOL, bug 4).
 */
export const settle = (connection: Connection, cause: SqlError): Effect.Effect<FailedText> => {
  const failure = classifyMysql(cause)
  if (failure === "NotSent") return Effect.succeed({ failure, cause })
  return Effect.flatMap(endTransaction(connection), (rolledBack) => {
    const settled: FailedText = { failure: rolledBack ? failure : "InDoubt", cause }
    return rolledBack && failure === "ReadOnly" ? Effect.as(drop(connection), settled) : Effect.succeed(settled)
  })
}

/**
 * Sends a text on a connection of its own, its transaction over in any case when this ends. Uninterruptible: a fiber
 * that leaves would give a connection with an open transaction back to the pool. Fails if there is no connection to be
 * had.
 */
export const sendText = (sql: SqlClient, text: string): Effect.Effect<SentText, SqlError> =>
  sql.reserve.pipe(
    Effect.flatMap((connection) =>
      Effect.matchEffect(runText(connection, text), {
        onFailure: (cause) => Effect.map(settle(connection, cause), Either.left),
        onSuccess: (results) => Effect.succeed(Either.right(results))
      })
    ),
    Effect.scoped,
    Effect.uninterruptible
  )
