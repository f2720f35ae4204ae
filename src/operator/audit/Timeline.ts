import * as Effect from "effect/Effect"
import type { TimelineEntry, TimelinePage } from "../../contract/operator/Timeline.ts"
import type { CampaignId } from "../../domain/Campaign.ts"
import { AuditLog } from "../../ports/AuditLog.ts"
import { CampaignPhases } from "../../ports/CampaignPhases.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import * as AuditRows from "./AuditRows.ts"

export type Page = typeof TimelinePage.Type

interface Query {
  readonly campaignId: CampaignId
  readonly limit: number
  readonly before: Page["before"] | undefined
}

/**
 * A page of a campaign's timeline. Acts and phases each keep their own order, by which the cursor goes on, so that no
 * entry is missed or comes twice; of the two, the later one comes first. A phase follows the act that led to it, and
 * has its time.
 */
export const read = (
  { before, campaignId, limit }: Query
): Effect.Effect<Page, LedgerUnavailable, AuditLog | CampaignPhases> =>
  Effect.gen(function*() {
    const { list } = yield* AuditLog
    const { history } = yield* CampaignPhases
    // One more than asked for says whether there are more.
    const [acts, phases] = yield* Effect.all([
      list({ campaignId, beforeId: before?.act ?? undefined, limit: limit + 1 }),
      history(campaignId, limit + 1, before?.phase ?? undefined)
    ], { concurrency: 2 })

    const entries: Array<typeof TimelineEntry.Type> = []
    let [actsTaken, phasesTaken] = [0, 0]
    while (entries.length < limit) {
      const [act, reached] = [acts[actsTaken], phases[phasesTaken]]
      if (reached !== undefined && (act === undefined || reached.at >= act.at)) {
        entries.push({ _tag: "Phase", reached })
        phasesTaken++
      } else if (act !== undefined) {
        entries.push({ _tag: "Act", act: AuditRows.toContract(act) })
        actsTaken++
      } else {
        break
      }
    }
    const isLast = actsTaken === acts.length && phasesTaken === phases.length
    return {
      entries,
      before: isLast ? null : {
        act: acts[actsTaken - 1]?.id ?? before?.act ?? null,
        phase: phases[phasesTaken - 1]?.sequence ?? before?.phase ?? null
      }
    }
  })
