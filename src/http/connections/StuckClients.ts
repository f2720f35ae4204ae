import { constants, type ServerHttp2Stream } from "node:http2"
import type { Socket } from "node:net"

/** A client that takes more than this is slow, but not stuck. */
const PROGRESS_BYTES = 65_536

/**
 * Finds clients that ask and do not read: each answer they leave lying is memory of ours, 0.5 MB for a page of GetCampaign, and
 * pipelining and streams multiply it. Neither node:http nor node:http2 bounds that. `sweep` is called now and then, so no request
 * pays for it; whoever has taken less than 64 KiB of what waits for it for `patienceMillis` is cut off: an HTTP/2 stream alone, or an
 * HTTP/1.1 connection.
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
      for (const socket of sockets) if (stuck(socket, socket.bytesWritten, time)) socket.destroy()
      for (const stream of streams) if (stuck(stream, 0, time)) stream.close(constants.NGHTTP2_CANCEL)
    }
  }
}
