import { randomUUID } from "node:crypto"
import type { ServerResponse } from "node:http"
import * as ActReason from "../../domain/audit/ActReason.ts"
import type { RequestSource } from "../../domain/Actor.ts"
import type { Request, Response } from "../Request.ts"

/** What is taken for a request's id: nothing that a log or a table could misread. */
const SANE = /^[\w.:/+=@~-]{1,64}$/

/** The source of a request of either HTTP version. The answer has the header `x-request-id` once the id is known. */
export const make = (
  request: Request,
  response: Response,
  addressOf: (request: Request) => string
): RequestSource => {
  let address: string | undefined
  let id: string | undefined
  return {
    address: () => address ??= addressOf(request),
    requestId: () => {
      if (id !== undefined) return id
      const given = request.headers["x-request-id"]
      id = typeof given === "string" && SANE.test(given) ? given : randomUUID()
      if (!response.headersSent && !response.destroyed) (response as ServerResponse).setHeader("x-request-id", id)
      return id
    },
    reason: () => ActReason.ofHeader(request.headers[ActReason.HEADER])
  }
}
