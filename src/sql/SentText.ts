import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { runText } from "./MySql.ts"
import { classifyMysql, type SqlFailure } from "./SqlFailure.ts"

/** A failed text whose transaction is over: rolled back, or never begun, or beyond our reach. */
export interface FailedText {
  readonly failure: SqlFailure
  readonly cause: SqlError
}

/** The results of a text, one a statement, or why there are none. */
export type SentText = Either.Either<ReadonlyArray<unknown>, FailedText>

/**
 * Ends the transaction that a failed text left open, and says what the failure proves. A proof counts only if ROLLBACK
 * went through. mysqld keeps a transaction open after any error but a deadlock, also after 1205 (PROTOCOL, bug 4).
 */
export const settle = (connection: Connection, cause: SqlError): Effect.Effect<FailedText> => {
  const failure = classifyMysql(cause)
  if (failure === "NotSent") return Effect.succeed({ failure, cause })
  // KILL, because the pool must not hand this connection out again and offers no other way to say so.
  const drop = Effect.ignore(runText(connection, "KILL CONNECTION_ID()"))
  return Effect.matchEffect(runText(connection, "ROLLBACK"), {
    onFailure: () => Effect.as(drop, { failure: "InDoubt" as SqlFailure, cause }),
    onSuccess: () => Effect.as(failure === "ReadOnly" ? drop : Effect.void, { failure, cause })
  })
}

/**
 * Sends a text on a connection of its own, its transaction over in any case when this ends. Uninterruptible: a fiber that
 * leaves would give a connection with an open transaction back to the pool. Fails if there is no connection to be had.
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
