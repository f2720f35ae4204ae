import * as Schema from "effect/Schema"
import { campaignPhases } from "../domain/CampaignPhase.ts"

/** A campaign with claims lately, as gate and ledger see it. */
export const ActiveCampaign = Schema.Struct({
  campaignId: Schema.Number,
  name: Schema.String,
  status: Schema.Literal("ACTIVE", "PAUSED", "ENDED"),
  /** What it is now; absent from instances that do not tell. */
  phase: Schema.optional(Schema.Literal(...campaignPhases)),
  couponLimit: Schema.Number,
  /** By the ledger. */
  issued: Schema.Number,
  /** Slots that were returned, which both have; absent from instances that do not tell. */
  returned: Schema.optional(Schema.Number),
  /**
   * `Unreachable`: it did not answer. `Cold`: the next claim rebuilds it. `Retired`: the campaign ended long ago, and
   * the gate knows no users. `Broken`: it cannot be read, and the reconciler has it rebuilt. `Foreign`: its keys are
   * another deployment's.
   */
  gate: Schema.Literal("Hydrated", "Rebuilding", "Cold", "Retired", "Broken", "Foreign", "Unreachable"),
  /** Reservations in flight, and the age of the oldest in milliseconds. */
  pending: Schema.Number,
  oldestPendingMillis: Schema.Number
})

/** A background agent of one instance. */
export const AgentState = Schema.Struct({
  /** E.g. `relay`; docs/reference/metrics.md lists all. */
  name: Schema.String,
  /** When the last run that succeeded ended, in epoch milliseconds; `null`: none yet. */
  lastRunAt: Schema.NullOr(Schema.Number),
  /** The last run that failed; `null`: none did. */
  lastFailure: Schema.NullOr(Schema.Struct({ at: Schema.Number, message: Schema.String })),
  /** For how long the next successful run has been due; 0 while the agent rests. */
  lagMillis: Schema.Number
})

const Quantiles = Schema.Struct({ p50: Schema.Number, p95: Schema.Number, p99: Schema.Number })
const Numbers = Schema.Record({ key: Schema.String, value: Schema.Number })

/** A webhook, as one instance sees it. */
export const WebhookState = Schema.Struct({
  id: Schema.String,
  /** Of its URL: what follows may be a secret. */
  host: Schema.String,
  state: Schema.Literal("ENABLED", "FAILING", "DISABLED"),
  /** Events that it has not taken yet, and the age of the oldest. */
  backlog: Schema.Number,
  lagMillis: Schema.Number
})

/** What one instance did in the seconds that ended at `at`, and the state of the stores that all instances share. */
export const Overview = Schema.Struct({
  /** Epoch milliseconds, the instance's clock. */
  at: Schema.Number,
  instance: Schema.String,
  version: Schema.String,
  uptimeSeconds: Schema.Number,
  ready: Schema.Boolean,
  waitingFor: Schema.Array(Schema.String),
  /** Seconds that rates, quantiles and means cover: about 1, and 0 in the first sample after a pause of watching. */
  seconds: Schema.Number,
  /** IssueCoupon's answers a second by outcome, e.g. `OK`; only outcomes that occurred since the start. */
  perSecond: Numbers,
  /** IssueCoupon in milliseconds: answered with a coupon, and with any other answer. 0 if there was none. */
  latencyMillis: Schema.Struct({ ok: Quantiles, refused: Quantiles }),
  inFlight: Schema.Number,
  /** Coupons that this instance committed since its start. */
  issuedTotal: Schema.Number,
  /**
   * IssueCoupon's way through this instance since its start, in claims and coupons: answered; begun; with a slot of the
   * gate, or past it; committed; and handed over by its relay, which takes those of other instances too. Absent from
   * instances that do not tell.
   */
  funnel: Schema.optional(Schema.Struct({
    arrived: Schema.Number,
    admitted: Schema.Number,
    reserved: Schema.Number,
    committed: Schema.Number,
    delivered: Schema.Number
  })),
  /** The last verification that this instance ran to its end (`Audit`), of all campaigns or of one; `null`: none. */
  verified: Schema.optional(Schema.NullOr(Schema.Struct({
    at: Schema.Number,
    campaignId: Schema.NullOr(Schema.Number),
    campaigns: Schema.Number,
    violations: Schema.Number
  }))),
  /** Means; 0 if there was no batch. */
  batchSizes: Schema.Struct({ gate: Schema.Number, ledger: Schema.Number }),
  gate: Schema.Struct({ up: Schema.Boolean, rebuilding: Schema.Number, answersPerSecond: Numbers }),
  /** Comparisons of gate and ledger since the start, by verdict. */
  audits: Numbers,
  /** Transactions of which it is not known yet whether they were committed. */
  commitsInDoubt: Schema.Number,
  /** Connections to MySQL; zeros with the embedded stores. */
  pool: Schema.Struct({ open: Schema.Number, inUse: Schema.Number, limit: Schema.Number, waiting: Schema.Number }),
  eventLoop: Schema.Struct({
    lagMeanMillis: Schema.Number,
    lagP99Millis: Schema.Number,
    lagMaxMillis: Schema.Number,
    /** 0 to 1. */
    utilization: Schema.Number
  }),
  memoryBytes: Schema.Number,
  /** Empty until the stores are there; absent from instances of version 1.0. */
  agents: Schema.optional(Schema.Array(AgentState)),
  /** Of all instances, asked just now; `null`: the ledger did not answer. */
  outbox: Schema.NullOr(Schema.Struct({ events: Schema.Number, oldestAgeMillis: Schema.Number })),
  /** Absent from instances that do not tell. */
  webhooks: Schema.optional(Schema.Array(WebhookState)),
  /** At most ten, those with the latest claims. */
  campaigns: Schema.Array(ActiveCampaign)
})
export type Overview = typeof Overview.Type
