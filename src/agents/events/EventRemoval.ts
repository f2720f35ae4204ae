import * as Effect from "effect/Effect"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { AppConfig } from "../../config/AppConfig.ts"
import type { CampaignId } from "../../domain/CampaignId.ts"
import { EventLog } from "../../ports/EventLog.ts"

/** Campaigns that one run looks at, and looks of one run. */
const PAGE = 1_000
const LOOKS = 20

/** Removes events older than `EVENT_RETENTION`, if it is set: each run goes on where the last one has ended. */
export const make = Effect.gen(function*() {
  const log = yield* EventLog
  const { eventRetention } = yield* AppConfig
  let afterId: CampaignId = 0

  const look = (olderThanMillis: number) =>
    Effect.gen(function*() {
      const { nextAfterId, removed } = yield* log.remove(olderThanMillis, afterId, PAGE)
      // A campaign may have more: it is looked at again before the others.
      if (removed === 0) afterId = nextAfterId ?? 0
      return removed > 0 || nextAfterId !== undefined
    })

  const runOnce = Option.match(eventRetention, {
    onNone: () => Effect.void,
    onSome: (retention) =>
      Effect.gen(function*() {
        for (let k = 0; k < LOOKS; k++) if (!(yield* look(Duration.toMillis(retention)))) return
      })
  })
  return { runOnce }
})
