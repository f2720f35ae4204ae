import { type FailureTag, table } from "../contract/FailureTable.ts"
import type { Counter, Distribution } from "./Metrics.ts"
import { counters, distributions, gauges, SECONDS } from "./Metrics.ts"

const requests = counters(
  "coupon_requests",
  "Requests answered, by RPC and outcome: OK or the contract's message.",
  ["rpc", "outcome"]
)
const requestSeconds = distributions(
  "coupon_request_duration_seconds",
  "From the decoded request to its outcome, by RPC and result: ok, refused (an answer) or failed (none).",
  SECONDS, ["rpc", "result"]
)
export const inFlight = gauges("coupon_requests_in_flight", "Requests that were admitted and are not answered yet.")()

export const admissionLimit = gauges(
  "coupon_admission_limit",
  "Public calls that may be in progress; MAX_IN_FLIGHT while none has to be refused."
)()
export const rejectionsHeld = gauges(
  "coupon_refusals_held",
  "OVERLOADED answers that wait so that refusing does not take the time of what was admitted."
)()

export const heldBytes = gauges(
  "coupon_held_bytes",
  "Bytes held for clients: of bodies without their end, and of large answers that are not read yet; at most HELD_BYTES."
)()

const connection = gauges("coupon_connections", "Client connections, by state: open, or the limit.", ["state"])
export const connections = { open: connection({ state: "open" }), limit: connection({ state: "limit" }) }
export const connectionsRefused = counters(
  "coupon_connections_refused",
  "Client connections that were closed at once, because as many as MAX_CONNECTIONS were open."
)()

type Tag = FailureTag | "OK"

/** Failures of the service itself. All others are answers to the request. */
const FAILED: ReadonlySet<string> = new Set<Tag>([
  "InternalServerError", "Overloaded", "Unavailable", "OutcomeUnknown", "DeadlineExceeded"
])

/** Known to every RPC from the start. */
const OUTCOMES: ReadonlyArray<Tag> = [
  "OK", "InternalServerError", "InvalidArgument", "Overloaded", "Unavailable", "OutcomeUnknown", "DeadlineExceeded"
]

/** The outcomes that a claim has besides. */
const CLAIM_OUTCOMES: ReadonlyArray<Tag> = [
  "RecordNotFound", "CampaignNotStarted", "CouponAlreadyClaimed", "CampaignEnded", "CampaignPaused", "CouponSoldOut",
  "CodesExhausted"
]

/** The label of an outcome: the failure's message, or `OK`. A tag that the table does not know labels itself. */
const messageOf = (tag: string): string => Object.hasOwn(table, tag) ? table[tag as FailureTag].message : tag

/** What is counted of one RPC. */
export interface RpcMetrics {
  /**
   * A call ended. `tag`: `OK`, or that of its failure; `undefined`: a defect. `startedAt`: in milliseconds of
   * `performance.now()`.
   */
  readonly ended: (tag: string | undefined, startedAt: number) => void
  /** A request was rejected before it became a call. */
  readonly rejected: (tag: string | undefined) => void
  readonly totals: () => Readonly<Record<string, number>>
  readonly latency: { readonly ok: Distribution; readonly refused: Distribution; readonly failed: Distribution }
}

const rpcs = new Map<string, RpcMetrics>()

const makeRpc = (rpc: string): RpcMetrics => {
  const byTag = new Map<string, { readonly total: Counter; readonly seconds: Distribution }>()
  const latency = {
    ok: requestSeconds({ rpc, result: "ok" }),
    refused: requestSeconds({ rpc, result: "refused" }),
    failed: requestSeconds({ rpc, result: "failed" })
  }
  const of = (tag: string) => {
    let outcome = byTag.get(tag)
    if (outcome === undefined) {
      const seconds = tag === "OK" ? latency.ok : FAILED.has(tag) ? latency.failed : latency.refused
      byTag.set(tag, outcome = { total: requests({ rpc, outcome: messageOf(tag) }), seconds })
    }
    return outcome
  }
  for (const tag of rpc === "IssueCoupon" ? [...OUTCOMES, ...CLAIM_OUTCOMES] : OUTCOMES) of(tag)
  return {
    ended: (tag = "InternalServerError", startedAt) => {
      const { seconds, total } = of(tag)
      total.add()
      seconds.observe((performance.now() - startedAt) / 1_000)
    },
    rejected: (tag = "InternalServerError") => of(tag).total.add(),
    totals: () => Object.fromEntries(Array.from(byTag, ([tag, { total }]) => [messageOf(tag), total.value()])),
    latency
  }
}

/** The metrics of an RPC, by its name, e.g. `IssueCoupon`. Callers keep the result instead of asking per request. */
export const rpc = (name: string): RpcMetrics => {
  let metrics = rpcs.get(name)
  if (metrics === undefined) rpcs.set(name, metrics = makeRpc(name))
  return metrics
}
