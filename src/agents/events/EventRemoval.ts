import * as Effect from "effect/Effect"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { AppConfig } from "../../config/AppConfig.ts"
import type { CampaignId } from "../../domain/CampaignId.ts"
import { EventLog } from "../../ports/EventLog.ts"
import { WebhookCursors } from "../../ports/webhooks/WebhookCursors.ts"

/** Campaigns that one run looks at, and looks of one run. */
const PAGE = 1_000
const LOOKS = 20

/**
 * How much longer events stay that an enabled webhook has not delivered. One that only fails is disabled after five
 * days, so only one that falls behind for ever, or is switched off with its SECRETS_KEY, loses any.
 */
export const GRACE = Duration.days(7)

/**
 * Removes events older than `EVENT_RETENTION`, if it is set, unless a webhook still needs them: each run goes on where
 * the last one has ended.
 */
export const make = Effect.gen(function*() {
  const log = yield* EventLog
  const { neededAfter } = yield* WebhookCursors
  const { eventRetention } = yield* AppConfig
  let afterId: CampaignId = 0

  const look = (olderThanMillis: number) =>
    Effect.gen(function*() {
      const { nextAfterId, removed } = yield* log.remove({
        olderThanMillis,
        afterId,
        size: PAGE,
        neededAfter,
        graceMillis: Duration.toMillis(GRACE)
      })
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
