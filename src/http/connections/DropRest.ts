import type { Readable } from "node:stream"

/**
 * Drops what still comes of a body whose request is answered already, because it is too large. Otherwise an HTTP/2
 * stream stays open until its client has sent all of it, and an HTTP/1.1 connection never reads its next request.
 */
export const dropRest = (body: Readable): void => {
  if (body.readableEnded || body.destroyed) return
  body.removeAllListeners("data")
  body.resume()
}
