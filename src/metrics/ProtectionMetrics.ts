import { counters } from "./Metrics.ts"

/**
 * Why something was refused or cut: it is what keeps one client from taking the service from others. SECURITY.md has
 * the bounds.
 */
export type Protection =
  /** A connection over HTTP/1.1 with too many requests before their answers. */
  | "pipelining"
  /** A new connection of a client of which many were cut of late. */
  | "barred"
  /** A body that is larger than what its client may have under way: a stream, or a connection over HTTP/1.1. */
  | "bytes"
  /** A body in chunks or frames of a few bytes: its connection. */
  | "tiny_chunks"
  /** A call without an end, of which its client or all clients have too many. */
  | "long_calls"
  /** A call that its client did not end in time. */
  | "expired"
  /** A stream of HTTP/2, of which its client or all clients have too many. */
  | "streams"

const protection = counters(
  "coupon_protection",
  "Requests, streams and connections that were refused or cut to protect other clients, by reason.",
  ["reason"]
)

const of = (reason: Protection) => protection({ reason })

/** A counter for each reason, there from the start. */
export const protections = {
  pipelining: of("pipelining"),
  barred: of("barred"),
  bytes: of("bytes"),
  tinyChunks: of("tiny_chunks"),
  longCalls: of("long_calls"),
  expired: of("expired"),
  streams: of("streams")
}
