import { Code, ConnectError, createContextValues } from "@connectrpc/connect"
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node"
import type { UniversalServerRequest } from "@connectrpc/connect/protocol"
import * as BodyDeadline from "./BodyDeadline.ts"
import * as ConnectHandlers from "./connect/ConnectHandlers.ts"
import type { Request, Response } from "./Request.ts"

/**
 * Serves Connect, gRPC and gRPC-Web with connect-es: all that the unary lane leaves. Returns false, having touched
 * nothing, for a path that is no RPC.
 */
export const make = (
  rpcs: ConnectHandlers.Rpcs,
  options: ConnectHandlers.Options
): (request: Request, response: Response) => boolean => {
  const { dispatcher } = options
  const { handle, has } = ConnectHandlers.make(rpcs, options)
  const byPath = new Map([...rpcs.routes, ...rpcs.streams].map((route) => [route.path, route]))

  return (request, response) => {
    const path = request.url!.split("?", 1)[0]!
    if (!has(path)) return false
    const failed = (cause: unknown) => {
      // The client went away: there is no connection to answer on.
      if (response.destroyed || ConnectError.from(cause).code === Code.Aborted) return
      dispatcher.report(cause)
      response.destroy()
    }
    let universal: UniversalServerRequest
    try {
      universal = universalRequestFromNodeRequest(request, response as never, undefined, createContextValues())
      // connect-es stops reading in the middle of a body that is too large. Node's default iterator would then destroy
      // the HTTP/1.1 request but not its connection, which hangs. This one lets the server drop the rest.
      if (!("stream" in request)) universal = { ...universal, body: request.iterator({ destroyOnReturn: false }) }
      const timeout = BodyDeadline.timeoutOf(universal.header)
      if (timeout !== undefined && request.method === "POST") {
        const passed = () => {
          dispatcher.refused(byPath.get(path)!, { _tag: "DeadlineExceeded" })
          BodyDeadline.endAfter(response)
        }
        const body = universal.body as AsyncIterable<Uint8Array>
        universal = { ...universal, body: BodyDeadline.bound(body, timeout, dispatcher.report, passed) }
      }
    } catch {
      // No Host header, or one that makes no URL.
      const plain = response as import("node:http").ServerResponse
      plain.writeHead(400, { "Content-Type": "application/json" })
      const message = "INVALID_ARGUMENT: host header is missing or malformed"
      plain.end(JSON.stringify({ code: "invalid_argument", message }))
      return true
    }
    const from = { request, response, client: dispatcher.clientOf(request) }
    handle(path, universal, from)
      .then((answer) => universalResponseToNodeResponse(answer, response as never))
      .catch(failed)
    return true
  }
}
