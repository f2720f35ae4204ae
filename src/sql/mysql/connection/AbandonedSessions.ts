import { sameHost, type HostAddress } from "../../../config/StoreUrl.ts"
import type { ControlConnection } from "./ControlConnection.ts"

/** Between two looks at sessions that are still there. */
const LOOK_MILLIS = 250

/** A session that its server may still be at work for, although its connection was given up. */
export interface AbandonedSession {
  readonly host: HostAddress
  /** The server's number of it; `undefined`: it had not come so far. */
  readonly id: number | undefined
  /** The port that the connection came from: what tells the session from a later one of the same number. */
  readonly port: number
}

/**
 * Sessions left behind on servers. A server that waits (for a lock, a replica, a disk) does not see that its client is
 * gone, so each counts against the pool until the server says that it is no more, or accepts no connection at all. They
 * are ended by KILL, which every user may do to its own sessions.
 */
export interface AbandonedSessions {
  readonly add: (session: AbandonedSession) => void
  readonly count: (host: HostAddress | undefined) => number
  readonly stop: () => void
}

const isRefused = (error: unknown): boolean => {
  const codes = (failure: unknown): ReadonlyArray<unknown> => {
    const { code, errors } = failure as { readonly code?: unknown; readonly errors?: ReadonlyArray<unknown> }
    return errors === undefined ? [code] : errors.flatMap(codes)
  }
  return typeof error === "object" && error !== null && codes(error).every((code) => code === "ECONNREFUSED")
}

/** `open`: a connection beside the pool. */
export const make = (open: (host: HostAddress) => ControlConnection): AbandonedSessions => {
  let left: ReadonlyArray<AbandonedSession> = []
  let timer: NodeJS.Timeout | undefined
  let control: { readonly host: HostAddress; readonly connection: ControlConnection } | undefined
  /** A session without a number came after the connection was opened. */
  let needsFresh = false
  let hasAnswered = false
  let isStopped = false

  const close = () => {
    control?.connection.drop()
    control = undefined
  }

  const connectionTo = (host: HostAddress): ControlConnection => {
    if (control === undefined || !sameHost(control.host, host)) {
      close()
      control = { host, connection: open(host) }
      hasAnswered = false
      needsFresh = false
    }
    return control.connection
  }

  /**
   * Ends what is there of these sessions, and returns those that were. One that never got a number was waiting to log
   * in: if this connection logged in after it, it is through, and has found that its client is gone.
   */
  const end = async (
    connection: ControlConnection,
    sessions: ReadonlyArray<AbandonedSession>
  ): Promise<ReadonlyArray<AbandonedSession>> => {
    const ids = sessions.flatMap(({ id }) => id ?? [])
    const isAfter = !needsFresh
    const rows = await connection.ask(
      "SELECT id AS id, SUBSTRING_INDEX(host, ':', -1) AS port FROM information_schema.processlist " +
        `WHERE id IN (${[0, ...ids].join(",")})`
    )
    hasAnswered = true
    const ports = new Map(rows.map((row) => [Number(row["id"]), Number(row["port"])]))
    for (const { id, port } of sessions) {
      // Behind a proxy the ports differ, and the number may be another client's: it is only waited for.
      if (id !== undefined && ports.get(id) === port) await connection.ask(`KILL ${id}`).catch(() => undefined)
    }
    return sessions.filter(({ id }) => id === undefined ? !isAfter : ports.has(id))
  }

  const look = async () => {
    timer = undefined
    const host = left[0]?.host
    if (host === undefined || isStopped) return
    const sessions = left.filter((session) => sameHost(session.host, host))
    // Never one that owes an answer, or they would pile up themselves.
    if (needsFresh && hasAnswered) close()
    const there = await end(connectionTo(host), sessions).catch((error: unknown) => isRefused(error) ? [] : sessions)
    // Those of another host come first next time.
    left = [...left.filter((session) => !sessions.includes(session)), ...there]
    if (left.length === 0 || isStopped) close()
    else schedule()
  }

  const schedule = () => {
    timer ??= setTimeout(() => void look(), LOOK_MILLIS).unref()
  }

  return {
    add: (session) => {
      if (isStopped) return
      left = [...left, session]
      if (session.id === undefined) needsFresh = true
      schedule()
    },
    count: (host) => left.length === 0 ? 0 : left.filter((session) => sameHost(session.host, host)).length,
    stop: () => {
      isStopped = true
      clearTimeout(timer)
      left = []
      close()
    }
  }
}
