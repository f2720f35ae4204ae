import type { ServerResponse } from "node:http"
import type { Response } from "../rpc/Request.ts"

/**
 * For answers that a browser can be led to show: those of GET, whatever the path. Nothing here is a page, so none of it may be taken for
 * one, run, framed, or kept in a cache. A browser sends the POSTs of RPCs for scripts alone, whom CORS stops.
 */
export const set = (response: Response, tls: boolean): void => {
  const plain = response as ServerResponse
  plain.setHeader("X-Content-Type-Options", "nosniff")
  plain.setHeader("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
  plain.setHeader("Cache-Control", "no-store")
  plain.setHeader("Referrer-Policy", "no-referrer")
  if (tls) plain.setHeader("Strict-Transport-Security", "max-age=31536000")
}
