import { constants, type Http2Session, type ServerHttp2Stream } from "node:http2"
import { protections } from "../../metrics/ProtectionMetrics.ts"
import * as ClientBudgets from "../../base/ClientBudgets.ts"
import { type Connection, type ConnectionLimits, connectionOf } from "./ConnectionLimits.ts"
import type { Offences } from "./Offences.ts"

/**
 * Bounds what clients waste by streams of HTTP/2 that end before their answers ("rapid reset", CVE-2023-44487): reset
 * by the client, by an error that makes the server reset them ("MadeYouReset", CVE-2025-8671), or by the end of the
 * connection. What counts is the work that was begun for a stream; the number of resets says little.
 */
export interface WastedStreams {
  /** Whether a new stream of the session is to be served; if so, it is open. If not, it has been seen to. */
  readonly begins: (session: Http2Session, stream: ServerHttp2Stream) => boolean
  /** The same once the client is known, if it comes by a trusted proxy. */
  readonly admits: (client: number, stream: ServerHttp2Stream) => boolean
  /**
   * A stream that was served since `beganAt` (milliseconds of `performance.now()`) was given up. One whose answer has
   * begun and has lasted is a watch that its client ends, as all do at the end of a sale: it has wasted nothing.
   */
  readonly givenUp: (client: number, session: Http2Session, stream: ServerHttp2Stream, beganAt: number) => void
}

/** Node makes a stream and ends it. */
const STREAM_MICROS = 50

/** It makes a request and a response, headers and body are read, and a call is dispatched. */
const REQUEST_MICROS = 200

/** An answer that has gone on for so long is one without an end: `LongCalls` and `HELD_BYTES` bound how many. */
const LASTING_MILLIS = 1_000

/** 2,000 streams or 500 requests, as when the users behind one address give up together; then 2 % of the time. */
const BUDGET = { burst: 100_000, perSecond: 20_000 }

export const make = (
  { limits, now = () => performance.now(), offences }: {
    readonly limits: ConnectionLimits
    readonly now?: () => number
    readonly offences: Offences
  }
): WastedStreams => {
  const budgets = ClientBudgets.make(BUDGET)

  /** Ends all connections of a client, also those of which something has been read but not parsed. */
  const cut = (client: number, connection: Connection) => {
    if (connection.isCut) return
    protections.resets.add()
    offences.bar(connection.socket)
    connection.isCut = true
    limits.cutAll(client)
  }

  const charge = (client: number, micros: number, connection: Connection | undefined) => {
    budgets.charge(client, micros)
    // A trusted proxy's connection carries others too.
    if (connection?.client === client && budgets.isSpent(client)) cut(client, connection)
  }

  /** An error of a stream without a listener would end the process. */
  const ended = (stream: ServerHttp2Stream) => {
    stream.on("error", () => {})
    return false
  }

  return {
    begins: (session, stream) => {
      const connection = connectionOf(session)
      if (connection?.isCut === true) return ended(stream)
      // Node parses all that one read brought before it hands on the streams in it: a reset may have come with it. Such
      // a stream has no session any more.
      if (!stream.destroyed && !stream.closed) return true
      // Whose stream a trusted proxy's was is not known before its headers are read.
      if (connection?.client !== undefined) charge(connection.client, STREAM_MICROS, connection)
      return ended(stream)
    },
    admits: (client, stream) => {
      if (!budgets.isSpent(client)) return true
      protections.resets.add()
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
      return ended(stream)
    },
    givenUp: (client, session, stream, beganAt) => {
      if (stream.headersSent && now() - beganAt >= LASTING_MILLIS) return
      charge(client, REQUEST_MICROS, connectionOf(session))
    }
  }
}
