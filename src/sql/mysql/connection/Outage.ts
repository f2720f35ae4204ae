import * as Backoff from "../../../base/Backoff.ts"
import type { HostAddress } from "../../../config/StoreUrl.ts"
import { showHost } from "../../../config/StoreUrl.ts"
import type { ControlConnection } from "./ControlConnection.ts"
import { mysqlErrno } from "../MySqlFailure.ts"

/** Pause after the n-th failure in a row. */
const retryDelay = Backoff.make({ firstMillis: 25, lastMillis: 500 })

/**
 * Whether the one server of a pool can be reached. While it cannot, nothing but a connection of this one's own tries
 * it.
 */
export interface Outage {
  /** A connection could not be opened. */
  readonly failed: (error: Error) => void
  /** A connection that had logged in was silent for too long: a server that hangs, or a statement that does. */
  readonly suspect: () => void
  /** A connection has logged in. */
  readonly ended: () => void
  /** Why the server cannot be reached; `undefined`: it can, as far as is known. */
  readonly current: () => Error | undefined
  readonly stop: () => void
}

const reasonOf = (error: NodeJS.ErrnoException): string => error.code ?? error.message.replace(/^MySQL at \S+ /, "")

/**
 * Claims fail at once during an outage instead of each waiting for a connection of its own, which takes seconds where
 * the server's machine is gone. `log` is called once when a server that was there is lost, and once when it is back.
 */
export const make = (
  host: HostAddress,
  connection: ControlConnection,
  log: (level: "warning" | "info", text: string) => void
): Outage => {
  let wasThere = false
  let failure: Error | undefined
  let lostAt: number | undefined
  let failures = 0
  let timer: NodeJS.Timeout | undefined
  let isSuspected = false
  let isStopped = false

  const ended = () => {
    failure = undefined
    failures = 0
    clearTimeout(timer)
    timer = undefined
    connection.drop()
    if (lostAt !== undefined) {
      const seconds = Math.max(1, Math.round((performance.now() - lostAt) / 1_000))
      log("info", `MySQL at ${showHost(host)} is back after ${seconds} s`)
    }
    lostAt = undefined
    wasThere = true
  }

  const probe = () => {
    timer = undefined
    connection.ask("DO 0").then(
      () => failure === undefined ? undefined : ended(),
      (error: unknown) => {
        if (failure === undefined) return
        // The server rejects this user, or has too many connections. Callers shall receive that error.
        if (mysqlErrno(error) !== undefined) return ended()
        retry()
      }
    )
  }
  const retry = () => {
    if (isStopped) return
    timer ??= setTimeout(probe, retryDelay(++failures)).unref()
  }

  const failed = (error: Error) => {
    if (isStopped) return
    failure = error
    if (wasThere && lostAt === undefined) {
      lostAt = performance.now()
      log("warning", `lost MySQL at ${showHost(host)}: ${reasonOf(error)}`)
    }
    retry()
  }

  return {
    current: () => failure,
    ended: () => failure === undefined && wasThere ? undefined : ended(),
    failed,
    suspect: () => {
      if (failure !== undefined || isSuspected || isStopped) return
      isSuspected = true
      connection.ask("DO 0").then(
        () => {
          isSuspected = false
          // A probe may have gone on with it.
          if (failure === undefined) connection.drop()
        },
        (error: Error) => {
          isSuspected = false
          if (mysqlErrno(error) === undefined) failed(error)
        }
      )
    },
    stop: () => {
      isStopped = true
      clearTimeout(timer)
      failure = undefined
      connection.drop()
    }
  }
}
