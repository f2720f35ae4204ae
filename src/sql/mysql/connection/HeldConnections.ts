import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

/**
 * Connections that are kept from the pool between uses, because to reserve one, in a scope of its own, and to give it
 * back costs a group commit some 40 steps of Effect.
 */
export interface HeldConnections {
  /**
   * Runs `use` on a connection that no other call has meanwhile. It is kept for the next one if `use` returns true, and
   * left otherwise. `isFresh`: it comes from the pool just now; one that was kept may have been closed since. Not to be
   * interrupted.
   */
  readonly withConnection: <A, E, R>(
    use: (connection: Connection, isFresh: boolean) => Effect.Effect<readonly [result: A, isSound: boolean], E, R>
  ) => Effect.Effect<A, E | SqlError, R>
}

interface Held {
  readonly connection: Connection
  readonly scope: Scope.CloseableScope
}

/** Keeps at most `limit` connections, and gives them back with the scope. */
export const make = (sql: SqlClient, limit: number): Effect.Effect<HeldConnections, never, Scope.Scope> =>
  Effect.gen(function*() {
    const idle: Array<Held> = []

    const leave = ({ scope }: Held) => Scope.close(scope, Exit.void)

    const open: Effect.Effect<Held, SqlError> = Effect.flatMap(Scope.make(), (scope) =>
      Scope.extend(sql.reserve, scope).pipe(
        Effect.map((connection) => ({ connection, scope })),
        Effect.onError(() => Scope.close(scope, Exit.void))
      ))

    yield* Effect.addFinalizer(() => Effect.forEach(idle.splice(0), leave, { discard: true }))

    return {
      withConnection: (use) => {
        const on = (held: Held, isFresh: boolean) =>
          Effect.matchCauseEffect(use(held.connection, isFresh), {
            onFailure: (cause) => Effect.zipRight(leave(held), Effect.failCause(cause)),
            onSuccess: ([result, isSound]) => {
              if (!isSound || idle.length >= limit) return Effect.as(leave(held), result)
              idle.push(held)
              return Effect.succeed(result)
            }
          })
        return Effect.suspend(() => {
          const held = idle.pop()
          return held === undefined ? Effect.flatMap(open, (held) => on(held, true)) : on(held, false)
        })
      }
    }
  })
