import * as Redacted from "effect/Redacted"
import * as MySql from "mysql2"
import * as Net from "node:net"
import { showHost, type HostAddress } from "../../../config/StoreUrl.ts"
import type { Endpoint } from "./MySqlUrl.ts"
import * as SessionState from "./SessionState.ts"

/** How long the caller of a question waits. */
const ANSWER_MILLIS = 2_000

/** The longest that the connection itself waits, however long it has been silent before. */
const MAX_PATIENCE_MILLIS = 600_000

/** The server said nothing for as long as a question may take. */
export class ControlSilent extends Error {
  override readonly name = "ControlSilent"
}

export type ControlRows = ReadonlyArray<Record<string, unknown>>

/** One connection to one server, beside a pool, for what has to be asked past the pool. */
export interface ControlConnection {
  /** Fails within some 2 s. One question at a time: while the server owes an answer, further ones fail at once. */
  readonly ask: (text: string) => Promise<ControlRows>
  /** Closes it; the next question opens another one. */
  readonly drop: () => void
}

/**
 * Opened by the first question and kept. A question that is given up leaves the connection as it is: a new one for each
 * would pile up as sessions on a server that hangs. Only a connection that stays silent is replaced, after 2 s and then
 * twice as long each time, for a partition may have cut it off; so a server that hangs for an hour is left with some
 * ten of them.
 */
export const make = (endpoint: Endpoint, host: HostAddress): ControlConnection => {
  let connection: MySql.Connection | undefined
  let isOwed = false
  let patience = ANSWER_MILLIS

  const openSocket = (): Net.Socket => {
    const socket = new Net.Socket()
    socket.setNoDelay(true).setKeepAlive(true, 10_000).connect(host)
    // Until it is connected it is no session of the server's.
    socket.setTimeout(ANSWER_MILLIS, () =>
      socket.destroy(new ControlSilent(`MySQL at ${showHost(host)} takes no connection`)))
    socket.once("connect", () => {
      socket.setTimeout(patience, () => {
        if (isOwed) patience = Math.min(2 * patience, MAX_PATIENCE_MILLIS)
        socket.destroy(new ControlSilent(`MySQL at ${showHost(host)} was silent for ${patience} ms`))
      })
    })
    return socket
  }

  const drop = () => {
    const dropped = connection
    connection = undefined
    isOwed = false
    dropped?.destroy()
  }

  const open = (): MySql.Connection => {
    const opened = MySql.createConnection({
      host: host.host,
      port: host.port,
      user: endpoint.username,
      password: Redacted.value(endpoint.password),
      stream: (() => openSocket()) as never,
      connectTimeout: 0,
      ...endpoint.ssl === undefined ? {} : { ssl: endpoint.ssl }
    })
    // A question that is owed an answer fails by itself.
    opened.on("error", () => {
      if (connection === opened) drop()
    })
    opened.query(SessionState.controlText, (error) => {
      if (error !== null && connection === opened) drop()
    })
    return connection = opened
  }

  const ask = (text: string): Promise<ControlRows> =>
    new Promise((resolve, reject) => {
      const silent = () =>
        reject(new ControlSilent(`MySQL at ${showHost(host)} has not answered for ${ANSWER_MILLIS} ms`))
      if (isOwed) return silent()
      const asked = connection ?? open()
      isOwed = true
      const timer = setTimeout(silent, ANSWER_MILLIS).unref()
      asked.query(text, (error, rows) => {
        clearTimeout(timer)
        if (connection === asked) isOwed = false
        if (error === null) {
          patience = ANSWER_MILLIS
          return resolve(Array.isArray(rows) ? rows as unknown as ControlRows : [])
        }
        if (error.fatal === true && connection === asked) drop()
        reject(error)
      })
    })

  return { ask, drop }
}
