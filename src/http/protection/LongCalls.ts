import type { ServerResponse } from "node:http"
import { constants } from "node:http2"
import { protections } from "../../metrics/ProtectionMetrics.ts"
import type { Shares } from "../../rpc/admission/Shares.ts"
import { rejectOverloaded } from "../../rpc/admission/RejectOverloaded.ts"
import type { Request, Response } from "../../rpc/Request.ts"
import { markEndless } from "./Pipelining.ts"
import type { Handler } from "../Mounts.ts"

/** Of all clients together; one has at most half of them. Each takes some 30 KB. */
export const MOST_LONG_CALLS = 256

/** A call that its client does not end is ended after this, and its client calls again. */
export const EXPIRY_MILLIS = 600_000

const end = (response: Response) => {
  if ("stream" in response) response.stream.close(constants.NGHTTP2_CANCEL)
  else response.destroy()
}

/**
 * Bounds calls that last until their client ends them, at these paths of a handler: how many there are, how long they
 * last, and that they end with their client. Others pass.
 */
export const bound = (options: {
  readonly calls: Shares
  readonly clientOf: (request: Request) => number
  readonly expiryMillis?: number
  readonly handler: Handler
  readonly paths: ReadonlySet<string>
}): Handler => {
  const { calls, clientOf, expiryMillis = EXPIRY_MILLIS, handler, paths } = options
  return (request, response, draining) => {
    if (!paths.has(request.url!)) return handler(request, response, draining)
    const client = clientOf(request)
    if (!calls.take(client, 1)) {
      protections.longCalls.add()
      return rejectOverloaded(request, response)
    }
    const expire = () => {
      protections.expired.add()
      end(response)
    }
    const timer = setTimeout(expire, expiryMillis).unref()
    const leave = () => end(response)
    // At the end Node may have parted the request from its socket.
    const socket = "stream" in request ? undefined : request.socket
    // Without this, Node would hold an answer for a client that sent FIN: it may still read.
    if (!("stream" in request)) {
      markEndless(request, response as ServerResponse)
      request.socket.once("end", leave)
    }
    response.once("close", () => {
      calls.give(client, 1)
      clearTimeout(timer)
      socket?.removeListener("end", leave)
    })
    handler(request, response, draining)
  }
}
