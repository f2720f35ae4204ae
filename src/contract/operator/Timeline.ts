import * as Schema from "effect/Schema"
import { campaignPhases } from "../../domain/CampaignPhase.ts"
import { AuditRecord } from "./Audit.ts"
import { Millis } from "./Fields.ts"

/** A phase that a campaign has reached; see `issuance/CampaignPhases`. */
export const PhaseEvent = Schema.Struct({
  /** 1, 2, 3, … within the campaign. */
  sequence: Schema.Number,
  phase: Schema.Literal(...campaignPhases),
  at: Millis,
  /** When an instance recorded it. */
  noticedAt: Millis
})

/** How far a timeline was read: acts below this id and phases below this sequence follow; `null`: all of them. */
export const TimelineCursor = Schema.Struct({ act: Schema.NullOr(Schema.Number), phase: Schema.NullOr(Schema.Number) })

/** An entry of a campaign's timeline: what an operator did, or a phase that the campaign has reached. */
export const TimelineEntry = Schema.Union(
  Schema.TaggedStruct("Act", { act: AuditRecord }),
  Schema.TaggedStruct("Phase", { reached: PhaseEvent })
)

/** A page of a timeline, the newest entry first. `before`: for the next page; `null`: this is the last one. */
export const TimelinePage = Schema.Struct({
  entries: Schema.Array(TimelineEntry),
  before: Schema.NullOr(TimelineCursor)
})
