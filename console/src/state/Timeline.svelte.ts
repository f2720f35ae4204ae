import type { AuditRecord } from "$contract/operator/Audit.ts"
import type { TimelineEntry as Stored } from "$contract/operator/Timeline.ts"
import type { CampaignPhase } from "$domain/Phase.ts"
import type { Failure } from "../api/Failure.ts"
import { failureOf } from "../api/failureTexts.ts"
import { ask } from "../api/operator.ts"
import { oneAtATime } from "../logic/OneAtATime.ts"

/** What an operator did to a campaign, or a phase that it has reached. */
export type TimelineEntry =
  | { readonly _tag: "Act"; readonly at: number; readonly key: string; readonly act: typeof AuditRecord.Type }
  | { readonly _tag: "Phase"; readonly at: number; readonly key: string; readonly phase: CampaignPhase }

const MOST = 100

const entryOf = (stored: typeof Stored.Type): TimelineEntry =>
  stored._tag === "Act"
    ? { _tag: "Act", at: stored.act.at, key: `act-${stored.act.id}`, act: stored.act }
    : { _tag: "Phase", at: stored.reached.at, key: `phase-${stored.reached.sequence}`, phase: stored.reached.phase }

/** The latest entries, the newest first. They are read again when the campaign's events say so. */
export class Timeline {
  entries = $state.raw<ReadonlyArray<TimelineEntry>>([])
  isLoaded = $state(false)
  failure = $state.raw<Failure>()
  readonly campaignId: number

  constructor(campaignId: number) {
    this.campaignId = campaignId
  }

  readonly read = oneAtATime(async () => {
    try {
      const { entries } = await ask((client) => client.Timeline({ campaignId: this.campaignId, limit: MOST }))
      this.entries = entries.map(entryOf)
      this.isLoaded = true
      this.failure = undefined
    } catch (cause) {
      this.failure = failureOf(cause)
    }
  })
}
