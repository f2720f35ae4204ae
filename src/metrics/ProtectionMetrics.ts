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

const protection = counters(
  "coupon_protection",
  "Requests, streams and connections that were refused or cut to protect other clients, by reason.",
  ["reason"]
)

/** A counter for each reason, there from the start. */
export const protections: Readonly<Record<Protection, ReturnType<typeof protection>>> = {
  pipelining: protection({ reason: "pipelining" }),
  barred: protection({ reason: "barred" })
}
