import * as Schema from "effect/Schema"
import { Count, Millis } from "./Fields.ts"

/** An invariant of the protocol that does not hold; `repairable`: by rebuilding the gate. */
export const Violation = Schema.Struct({
  /** `null`: it concerns the outbox as a whole. */
  campaignId: Schema.NullOr(Schema.Number),
  invariant: Schema.String,
  text: Schema.String,
  repairable: Schema.Boolean
})

/** One campaign as the verification saw it. The gate's columns are `null` where it could not be asked. */
export const VerifiedCampaign = Schema.Struct({
  campaignId: Schema.Number,
  couponLimit: Count,
  coupons: Count,
  counter: Count,
  unrelayed: Count,
  gate: Schema.NullOr(Schema.Struct({
    /** `Sound`, unless it is over for long, cannot be read, or is another deployment's. */
    condition: Schema.Literal("Sound", "Retired", "Broken", "Foreign"),
    hydrated: Schema.Boolean,
    issued: Count,
    pending: Count,
    oldestPendingMillis: Millis
  })),
  violations: Schema.Array(Violation)
})

/** A verification returns each campaign as soon as it is verified, and then the whole. */
export const VerifyEvent = Schema.Union(
  Schema.TaggedStruct("Campaign", { row: VerifiedCampaign }),
  Schema.TaggedStruct("Done", {
    campaigns: Count,
    /** All of them: those of the rows too. */
    violations: Schema.Array(Violation),
    outbox: Schema.Struct({ events: Count, oldestAgeMillis: Millis })
  })
)
