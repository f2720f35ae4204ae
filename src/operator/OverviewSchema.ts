import * as Schema from "effect/Schema"

/** A campaign with claims lately, as gate and ledger see it. */
export const ActiveCampaign = Schema.Struct({
  campaignId: Schema.Number,
  name: Schema.String,
  status: Schema.Literal("ACTIVE", "PAUSED", "ENDED"),
  couponLimit: Schema.Number,
  /** By the ledger. */
  issued: Schema.Number,
  /** `Unreachable`: it did not answer. `Cold`: the next claim has it rebuilt. */
  gate: Schema.Literal("Hydrated", "Rebuilding", "Cold", "Unreachable"),
  /** Reservations in flight, and the age of the oldest in milliseconds. */
  pending: Schema.Number,
  oldestPendingMillis: Schema.Number
})

/** What one instance did in the second that ended at `at`, and what waits in the stores that it shares with the others. */
export const Overview = Schema.Struct({
  /** Epoch milliseconds, the instance's clock. */
  at: Schema.Number,
  instance: Schema.String,
  version: Schema.String,
  uptimeSeconds: Schema.Number,
  ready: Schema.Boolean,
  waitingFor: Schema.Array(Schema.String),
  /** The milliseconds that `perSecond`, `latency` and `batches` are of: about 1,000. */
  spanMillis: Schema.Number,
  /** IssueCoupon by outcome, e.g. `OK`, `COUPON_SOLD_OUT`; outcomes that did not occur are absent. */
  perSecond: Schema.Record({ key: Schema.String, value: Schema.Number }),
  /** IssueCoupon in milliseconds; `null`: there was none. */
  latency: Schema.NullOr(Schema.Struct({ p50: Schema.Number, p95: Schema.Number, p99: Schema.Number })),
  /** Mean size; `null`: there was none. */
  batches: Schema.Struct({ ledger: Schema.NullOr(Schema.Number), gate: Schema.NullOr(Schema.Number) }),
  inFlight: Schema.NullOr(Schema.Number),
  memoryBytes: Schema.Number,
  eventLoopLagMillis: Schema.NullOr(Schema.Number),
  /** `null`: the ledger did not answer. */
  outbox: Schema.NullOr(Schema.Struct({ events: Schema.Number, oldestAgeMillis: Schema.Number })),
  /** At most ten, those with the latest claims. */
  campaigns: Schema.Array(ActiveCampaign)
})
export type Overview = typeof Overview.Type
