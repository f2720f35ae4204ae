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
  /** A new connection of a client that has its share of them, none of which is idle. */
  | "connection_share"
  /** A new connection of a client that opened many of late. */
  | "connection_rate"
  /** A new connection while MAX_CONNECTIONS are open, none of which is idle. */
  | "connection_limit"
  /** An idle connection that made room for a new one. */
  | "idle_connection"
  /** The connections of a client that gave up many streams over HTTP/2, or a stream of such a client behind a proxy. */
  | "resets"
  /** A call of the operator plane beyond what its key, or all keys, may have at once. */
  | "operator_calls"
  /** An answer of the operator plane that its caller did not read. */
  | "operator_unread"
  /** A connection over HTTP/2 whose settings or headers did not come in time. */
  | "unfinished"
  /** A client that did not read its answers: a stream, or a connection over HTTP/1.1. */
  | "unread"

const reasons = counters(
  "coupon_protection",
  "Requests, streams and connections that were refused or cut to protect other clients, by reason.",
  ["reason"]
)

const of = (reason: Protection) => reasons({ reason })

/** A counter for each reason, there from the start. */
export const protections = {
  pipelining: of("pipelining"),
  barred: of("barred"),
  bytes: of("bytes"),
  tinyChunks: of("tiny_chunks"),
  longCalls: of("long_calls"),
  expired: of("expired"),
  streams: of("streams"),
  share: of("connection_share"),
  rate: of("connection_rate"),
  limit: of("connection_limit"),
  idle: of("idle_connection"),
  resets: of("resets"),
  operatorCalls: of("operator_calls"),
  operatorUnread: of("operator_unread"),
  unfinished: of("unfinished"),
  unread: of("unread")
}
