import type { ServerHttp2Session } from "node:http2"
import type { Socket } from "node:net"
import { protections } from "../../metrics/ProtectionMetrics.ts"
import * as RequestMetrics from "../../metrics/RequestMetrics.ts"
import { CLIENTS } from "../../base/Clients.ts"
import * as ClientBudgets from "../../base/ClientBudgets.ts"

/** An open connection, as the limits see it. */
export interface Connection {
  /** `undefined`: a trusted proxy's, which carries many clients. */
  readonly client: number | undefined
  /** The socket that ends it: with TLS the one above the handshake's. */
  socket: Socket
  /** Its session, if it speaks HTTP/2. */
  session: ServerHttp2Session | undefined
  /** Requests without their answers. */
  busy: number
  /** Since when it has none, in milliseconds of `performance.now()`. */
  idleSince: number
  /** Whether it was ended for what its client did. */
  isCut: boolean
}

const CONNECTION = Symbol("connection")
interface Known {
  [CONNECTION]?: Connection | undefined
}

/** The connection that a socket or a session of HTTP/2 belongs to; `undefined` once it was cut. */
export const connectionOf = (one: object): Connection | undefined => (one as Known)[CONNECTION]

/** Makes a further socket or a session belong to a connection. */
export const belongs = (one: object, connection: Connection | undefined): void => {
  ;(one as Known)[CONNECTION] = connection
}

/** A request began on this socket or session. */
export const requestBegan = (one: object): void => {
  const connection = (one as Known)[CONNECTION]
  if (connection !== undefined) connection.busy++
}

/** Its answer is written, or it has ended otherwise. */
export const requestEnded = (one: object): void => {
  const connection = (one as Known)[CONNECTION]
  if (connection !== undefined && --connection.busy === 0) connection.idleSince = performance.now()
}

/** Shares the connections that may be open among clients. Costs a request nothing but a count. */
export interface ConnectionLimits {
  /**
   * Whether a client may have one connection more. When room is scarce, idle ones make room. `undefined`: a trusted
   * proxy, which is held to no share. Counts those that may not.
   */
  readonly admits: (client: number | undefined) => boolean
  /** Counts a new connection that was admitted. */
  readonly take: (socket: Socket) => Connection
  /** The connection speaks HTTP/2, which costs more. */
  readonly beginsSession: (connection: Connection, session: ServerHttp2Session) => void
  /** Cuts every connection of a client. */
  readonly cutAll: (client: number) => void
  readonly count: () => number
}

/**
 * How many times the free places a client may hold, as calls are shared ("dynamic thresholds", Choudhury and Hahne,
 * 1998): alone three quarters of all, two greedy ones 3/7 each. A client without a connection always finds a place.
 */
const GREED = 3

/** One that is younger, or has just been answered, is about to be used. */
const LEAST_IDLE_MILLIS = 1_000

/** Idle connections that go at once: one in 32, at most 64. To look for them takes 0.1 ms per 1,000 open ones. */
const CLOSED_PART = 32
const MOST_CLOSED = 64

/** After a search, the next one waits for ten times as long as that took; after one in vain for longer. */
const PAUSE_MILLIS_EACH = 1 / 1_000
const PAUSE_IN_VAIN_MILLIS = 250

/** To make and to end a connection, and a session of HTTP/2 on it. */
const CONNECTION_MICROS = 100
const SESSION_MICROS = 400

/** Of one client: 4,000 connections at once, and 1,000 a second; over HTTP/2 a fifth of that. */
const RATE = { burst: 400_000, perSecond: 100_000 }

/** `clientOf`: as `ClientAddresses.ofSocket`. */
export const make = (options: {
  readonly most: number
  readonly clientOf: (socket: Socket) => number | undefined
  readonly now?: () => number
}): ConnectionLimits => {
  const { clientOf, most, now = () => performance.now() } = options
  const own = new Int32Array(CLIENTS)
  const rates = ClientBudgets.make(RATE, now)
  const open = new Set<Connection>()
  /** Clients with a connection. */
  let active = 0
  const searchAt = new Float64Array(CLIENTS + 1)
  const ALL = CLIENTS

  const leave = (connection: Connection) => {
    if (!open.delete(connection)) return
    const { client } = connection
    if (client !== undefined && --own[client]! === 0) active--
  }

  const close = (connection: Connection) => {
    leave(connection)
    const { session, socket } = connection
    // A session says GOAWAY with it. A graceful end would wait for a client that need not answer.
    if (session !== undefined && !session.destroyed) session.destroy()
    else socket.destroy()
  }

  /** The longest idle ones go, at most a part of those that `of` selects. */
  const closeIdle = (of: (connection: Connection) => boolean, time: number): number => {
    const found: Array<Connection> = []
    let selected = 0
    for (const connection of open) {
      if (!of(connection)) continue
      selected++
      if (connection.busy === 0 && time - connection.idleSince >= LEAST_IDLE_MILLIS) found.push(connection)
    }
    if (found.length === 0) return 0
    const times = Float64Array.from(found, ({ idleSince }) => idleSince).sort()
    const count = Math.min(found.length, MOST_CLOSED, Math.max(1, Math.floor(selected / CLOSED_PART)))
    const last = times[count - 1]!
    let left = count
    for (const connection of found) {
      if (left === 0) break
      if (connection.idleSince > last) continue
      left--
      protections.idle.add()
      close(connection)
    }
    return count
  }

  /** Looks for idle connections of a client, or of all; `false`: there is none, or it was just looked for. */
  const madeRoom = (whose: number): boolean => {
    const time = now()
    if (time < searchAt[whose]!) return false
    const ofGreedy = ({ client }: Connection) => client !== undefined && own[client]! * active > open.size
    const ofAny = ({ client }: Connection) => client !== undefined
    const closed = whose === ALL
      ? closeIdle(ofGreedy, time) || closeIdle(ofAny, time)
      : closeIdle(({ client }) => client === whose, time)
    searchAt[whose] = time + open.size * PAUSE_MILLIS_EACH + (closed === 0 ? PAUSE_IN_VAIN_MILLIS : 0)
    return closed > 0
  }

  const refuse = (reason: "share" | "limit" | "rate") => {
    protections[reason].add()
    if (reason === "limit") RequestMetrics.connectionsRefused.add()
    return false
  }

  return {
    count: () => open.size,
    cutAll: (client) => {
      for (const connection of open) {
        if (connection.client !== client) continue
        connection.isCut = true
        close(connection)
      }
    },
    admits: (client) => {
      if (client !== undefined && own[client]! > 0) {
        if (rates.isSpent(client)) return refuse("rate")
        const mayHave = () => own[client]! < GREED * (most - open.size)
        if (!mayHave() && !(madeRoom(client) && mayHave())) return refuse("share")
      }
      // A client that has none is held to no share: where all are taken, idle ones of others make room.
      return open.size < most || madeRoom(ALL) || refuse("limit")
    },
    take: (socket) => {
      const client = clientOf(socket)
      const connection = { client, socket, session: undefined, busy: 0, idleSince: now(), isCut: false }
      open.add(connection)
      if (client !== undefined) {
        if (own[client]!++ === 0) active++
        rates.charge(client, CONNECTION_MICROS)
      }
      belongs(socket, connection)
      socket.once("close", () => leave(connection))
      return connection
    },
    beginsSession: (connection, session) => {
      connection.session = session
      belongs(session, connection)
      if (connection.client !== undefined) rates.charge(connection.client, SESSION_MICROS)
    }
  }
}
