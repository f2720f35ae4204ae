import type { ServerResponse } from "node:http"
import type { Response } from "../rpc/Request.ts"

/** Headers that say what a browser may do with an answer, by name. */
export type BrowserHeaders = Readonly<Record<string, string>>

/** `policy`: the value of Content-Security-Policy. `caching`: the value of Cache-Control. */
export const make = (policy: string, caching: string): BrowserHeaders => ({
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": policy,
  "Cache-Control": caching,
  "Referrer-Policy": "no-referrer"
})

/** For answers that are no pages: a browser must not run, frame or cache them. */
export const api: BrowserHeaders = make("default-src 'none'; frame-ancestors 'none'", "no-store")

/**
 * For the answers that a browser can be led to show: those of any method but POST. Only scripts send the POSTs of RPCs,
 * and CORS stops those.
 */
export const set = (response: Response, headers: BrowserHeaders, tls: boolean): void => {
  const plain = response as ServerResponse
  for (const name in headers) plain.setHeader(name, headers[name]!)
  if (tls) plain.setHeader("Strict-Transport-Security", "max-age=31536000")
}
