import * as Schema from "effect/Schema"
import { Count, Millis } from "./Fields.ts"

/** How far a rebuild is. `Waiting`: another instance does it. */
export const RebuildEvent = Schema.Union(
  Schema.TaggedStruct("Started", { campaignId: Schema.Number, coupons: Count }),
  Schema.TaggedStruct("Progress", { coupons: Count, of: Count }),
  Schema.TaggedStruct("Waiting", {}),
  Schema.TaggedStruct("Done", { coupons: Count, tookMillis: Millis })
)
