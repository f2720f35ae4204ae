import * as Schema from "effect/Schema"
import { Count, known, Millis } from "./Fields.ts"

/** One administrative act, as the ledger remembers it; see `AuditLog`. */
export const AuditRecord = Schema.Struct({
  /** Ascending with time, with gaps. */
  id: Schema.Number,
  at: Millis,
  actor: Schema.String,
  action: Schema.String,
  campaignId: Schema.NullOr(Schema.Number),
  /** Any JSON; `null`: nothing. */
  before: Schema.Unknown,
  after: Schema.Unknown,
  /** Who acted, besides the name, and with which outcome. `null`: not known, as in rows of earlier versions. */
  keyId: known,
  role: known,
  address: known,
  requestId: known,
  /** Why, as the caller said: one line of at most 200 characters. */
  reason: known,
  /** `DONE` or `REFUSED`. */
  outcome: known
})

/** A place in the chain of the audit log. `record` is `null` where the act is missing. */
export const AuditLink = Schema.Struct({
  sequence: Schema.Number,
  hash: Schema.String,
  record: Schema.NullOr(AuditRecord)
})

export const Hash = Schema.String.pipe(Schema.pattern(/^[0-9a-f]{64}$/))

/**
 * The verification of the audit log's chain: how far it is, what is wrong (at most 1,000 flaws), and the end. `kind`:
 * the act is missing or changed, the place is missing, the chain ends before its head (places were removed), or it does
 * not hold what a copy elsewhere holds.
 */
export const ChainEvent = Schema.Union(
  Schema.TaggedStruct("Progress", { acts: Count }),
  Schema.TaggedStruct("Flaw", {
    sequence: Schema.Number,
    kind: Schema.Literal("ActMissing", "ActChanged", "PlaceMissing", "TailMissing", "OtherHistory")
  }),
  Schema.TaggedStruct("Done", {
    acts: Count,
    hash: Schema.String,
    flaws: Count,
    unsealed: Count,
    /** Acts whose reason has no part in their hash: an instance of an earlier version sealed them. */
    unsealedReasons: Schema.optionalWith(Count, { default: () => 0 })
  })
)
