import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as LedgerMetrics from "../../../metrics/LedgerMetrics.ts"
import * as Metrics from "../../../metrics/Metrics.ts"

/** A connection of mysql2's pool, before it is handed out. */
export interface DriverConnection {
  /** The character set in which it writes text, by the name that Node has for it. */
  readonly clientEncoding: string
  /** The session's number, as the server greeted with it. */
  readonly threadId: number
  /** Its own settings. */
  readonly config: object
  /** What it waits for the server to answer. */
  readonly _command?: object | null
  readonly query: (text: string, done: (error: Error | null, results: unknown) => void) => void
  readonly stream: { readonly destroy: (error: Error) => void }
}

/** What mysql2's pool knows of itself; none of it is in its public type. */
export interface DriverPool {
  /** A connection was opened; what it is asked here, it is asked first. */
  readonly on: (event: "connection", listener: (connection: DriverConnection) => void) => void
  readonly _allConnections: { readonly length: number }
  readonly _freeConnections: { readonly length: number }
  readonly _connectionQueue: { readonly length: number }
}

/** Shows the pool's use in the process' metrics for as long as the scope lives. */
export const watchPool = (limit: number): Effect.Effect<(pool: DriverPool) => void, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const watched: { pool: DriverPool | undefined } = { pool: undefined }
        const end = Metrics.onSample(() => {
          const { pool } = watched
          if (pool === undefined) return
          const open = pool._allConnections.length
          LedgerMetrics.pool.limit.set(limit)
          LedgerMetrics.pool.open.set(open)
          LedgerMetrics.pool.inUse.set(open - pool._freeConnections.length)
          LedgerMetrics.poolWaiting.set(pool._connectionQueue.length)
        })
        return { watched, end }
      }),
      ({ end }) => Effect.sync(end)
    ),
    ({ watched }) => (pool) => {
      watched.pool = pool
    }
  )
