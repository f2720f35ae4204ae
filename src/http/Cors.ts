import type { ServerResponse } from "node:http"
import { cors as connect } from "@connectrpc/connect"
import type { Request, Response } from "../rpc/Request.ts"

/** What browsers may send besides what Connect and gRPC-Web themselves need. */
const OWN_HEADERS = ["Authorization", "Accept-Encoding", "Traceparent", "Tracestate", "X-Coupon-Reason"]
const ALLOWED_HEADERS = [...connect.allowedHeaders, ...OWN_HEADERS].join(", ")
/** What scripts may read: without these a web page cannot tell errors of gRPC-Web, nor when to come back. */
const EXPOSED_HEADERS = [...connect.exposedHeaders, "Retry-After", "WWW-Authenticate"].join(", ")
const METHODS = connect.allowedMethods.join(", ")
/** Browsers cap it at two hours or less; without it each call costs two round trips. */
const MAX_AGE_SECONDS = "7200"

/**
 * Lets web pages of these origins call. Returns true if it has answered: a preflight (OPTIONS) is no call. Credentials
 * are API keys and tokens in a header, never cookies. So no page can use a user's rights, and `*` is safe to allow.
 */
export const make = (origins: ReadonlyArray<string>): (request: Request, response: Response) => boolean => {
  const any = origins.includes("*")
  const allowed = new Set(origins)
  return (request, response) => {
    const { origin } = request.headers
    const plain = response as ServerResponse
    // Caches must not hand one origin's answer to another.
    if (!any) plain.setHeader("Vary", "Origin")
    const preflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined
    if (typeof origin === "string" && (any || allowed.has(origin))) {
      plain.setHeader("Access-Control-Allow-Origin", any ? "*" : origin)
      if (preflight) {
        plain.setHeader("Access-Control-Allow-Methods", METHODS)
        plain.setHeader("Access-Control-Allow-Headers", ALLOWED_HEADERS)
        plain.setHeader("Access-Control-Max-Age", MAX_AGE_SECONDS)
      } else plain.setHeader("Access-Control-Expose-Headers", EXPOSED_HEADERS)
    }
    if (!preflight) return false
    // Without the headers above, the browser keeps to itself.
    request.resume()
    plain.writeHead(204)
    plain.end()
    return true
  }
}
