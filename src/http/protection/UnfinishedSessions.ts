import type { Http2Session } from "node:http2"
import { protections } from "../../metrics/ProtectionMetrics.ts"

/** Ends connections over HTTP/2 that do not come to a request: node:http2 has no timeout but for silence. */
export interface UnfinishedSessions {
  readonly begun: (session: Http2Session) => void
  /** The headers of a request have come. */
  readonly requested: (session: Http2Session, streamId: number) => void
  /** Runs from a timer. */
  readonly sweep: () => void
}

/** What is known of a session. Times are in milliseconds. */
interface Progress {
  /** When it began, or was last seen with a stream, or with one that had come and gone since the look before. */
  at: number
  hasSettings: boolean
  /** The last stream whose headers came whole. */
  lastId: number
  /** What `lastId` was at the last look. */
  seenId: number
  /** Since when the headers of another one are awaited. */
  headersSince: number | undefined
}

/**
 * A session has `headersMillis` to send its settings and to finish headers that it has begun, and without a stream it
 * lasts `idleMillis`, whatever else it sends: a ping or a byte of a frame now and then keeps no connection.
 */
export const make = (options: {
  readonly headersMillis: number
  readonly idleMillis: number
  /** How many streams are open. */
  readonly openStreams: (session: Http2Session) => number
  readonly sessions: ReadonlySet<Http2Session>
  readonly now?: () => number
}): UnfinishedSessions => {
  const { headersMillis, idleMillis, now = () => performance.now(), openStreams, sessions } = options
  const known = new WeakMap<Http2Session, Progress>()

  const isUnfinished = (session: Http2Session, progress: Progress, time: number): boolean => {
    if (!progress.hasSettings) return time - progress.at >= headersMillis
    // nghttp2 counts a stream once its headers begin.
    if ((session.state.lastProcStreamID ?? 0) <= progress.lastId) {
      progress.headersSince = undefined
      return false
    }
    progress.headersSince ??= time
    return time - progress.headersSince >= headersMillis
  }

  const look = (session: Http2Session, time: number) => {
    const progress = known.get(session)
    if (progress === undefined || session.destroyed) return
    if (isUnfinished(session, progress, time)) {
      protections.unfinished.add()
      return session.destroy()
    }
    if (openStreams(session) > 0 || progress.lastId !== progress.seenId) {
      progress.at = time
      progress.seenId = progress.lastId
    } else if (!session.closed && time - progress.at >= idleMillis) session.close()
  }

  return {
    begun: (session) => {
      const progress: Progress = { at: now(), hasSettings: false, lastId: 0, seenId: 0, headersSince: undefined }
      known.set(session, progress)
      session.once("remoteSettings", () => progress.hasSettings = true)
    },
    requested: (session, streamId) => {
      const progress = known.get(session)
      if (progress !== undefined) progress.lastId = streamId
    },
    sweep: () => {
      const time = now()
      for (const session of sessions) look(session, time)
    }
  }
}
