import * as Effect from "effect/Effect"
import type { CampaignId } from "../../domain/CampaignId.ts"
import { EventLog } from "../../ports/EventLog.ts"
import { EventNews } from "./EventNews.ts"

/** Campaigns that one run looks at. */
const PAGE = 1_000

/** Campaigns whose logs are appended to at a time: the end of each is locked meanwhile. */
const CHUNK = 20

/**
 * Appends what no relay does: the end of a campaign by its time, what an older program's relay has settled without a
 * log, campaigns of before there was one, and events that a frozen relay holds, or whose gate takes none. A run looks
 * at the next 1,000 campaigns, and begins again after the last.
 */
export const make = Effect.gen(function*() {
  const log = yield* EventLog
  const news = yield* EventNews
  let afterId: CampaignId = 0

  const runOnce = Effect.gen(function*() {
    const { campaignIds, nextAfterId } = yield* log.lagging(afterId, PAGE)
    for (let from = 0; from < campaignIds.length; from += CHUNK) {
      news.publish(yield* log.append(campaignIds.slice(from, from + CHUNK)))
    }
    afterId = nextAfterId ?? 0
  })
  return { runOnce }
})
