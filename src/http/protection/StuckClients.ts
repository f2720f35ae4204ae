import { constants, type ServerHttp2Stream } from "node:http2"
import type { Socket } from "node:net"
import { protections } from "../../metrics/ProtectionMetrics.ts"
import * as StreamProgress from "../../rpc/streams/StreamProgress.ts"

/** A client that takes more than this is slow, but not stuck. */
const PROGRESS_BYTES = 65_536

/**
 * Finds clients that send requests and do not read the answers. Each unread answer takes memory of the process, 0.5 MB
 * for a page of GetCampaign, and neither node:http nor node:http2 bounds that. `sweep` runs from a timer, so it costs a
 * request nothing. A client that takes less than 64 KiB in `patienceMillis` while answers wait is cut off: its HTTP/2
 * stream, or its HTTP/1.1 connection.
 */
export const make = (options: {
  readonly sockets: ReadonlySet<Socket>
  readonly streams: ReadonlySet<ServerHttp2Stream>
  readonly patienceMillis: number
  readonly now?: () => number
}): { readonly sweep: () => void } => {
  const { patienceMillis, sockets, streams, now = () => performance.now() } = options
  const since = new WeakMap<object, { at: number; written: number }>()

  const stuck = (one: Socket | ServerHttp2Stream, written: number, time: number): boolean => {
    if (one.writableLength === 0) {
      since.delete(one)
      return false
    }
    const seen = since.get(one)
    if (seen === undefined || written - seen.written >= PROGRESS_BYTES) {
      since.set(one, { at: time, written })
      return false
    }
    return time - seen.at >= patienceMillis
  }

  return {
    sweep: () => {
      const time = now()
      for (const socket of sockets) {
        if (!stuck(socket, socket.bytesWritten, time)) continue
        protections.unread.add()
        socket.destroy()
      }
      for (const stream of streams) {
        if (!stuck(stream, StreamProgress.of(stream), time)) continue
        protections.unread.add()
        stream.close(constants.NGHTTP2_CANCEL)
      }
    }
  }
}
