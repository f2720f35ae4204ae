import { Code } from "@connectrpc/connect"
import type { ServerResponse } from "node:http"
import { rejection } from "../rpc/ErrorCatalog.ts"
import type { Request, Response } from "../rpc/Request.ts"
import * as UnaryLane from "../rpc/UnaryLane.ts"

/**
 * Rejects a request of a mount, as JSON in the form of the API. `last`: the connection ends with the answer.
 * `retryAfterSeconds` is what `Retry-After` says.
 */
export const send = (
  response: Response,
  status: number,
  code: Code,
  message: string,
  last: boolean,
  retryAfterSeconds?: number
): void => {
  const { body, type } = rejection(undefined, code, message)
  UnaryLane.send(response, status, type, body, Buffer.byteLength(body), last, retryAfterSeconds)
}

/** 405. `methods`: those that the path takes, as `Allow` has them. The request's body is dropped. */
export const method = (
  request: Request,
  response: Response,
  methods: string,
  message: string,
  last: boolean
): void => {
  request.resume()
  ;(response as ServerResponse).setHeader("Allow", methods)
  send(response, 405, Code.Unknown, message, last)
}
