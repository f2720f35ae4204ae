import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { LiveCampaign } from "../../contract/Live.ts"
import { CampaignStore } from "../../ports/CampaignStore.ts"
import { Gate } from "../../ports/Gate.ts"
import { Ledger } from "../../ports/Ledger.ts"
import { Outbox } from "../../ports/Outbox.ts"
import { ask, gateWord } from "../OverviewSampler.ts"

const LATEST = 10

/** The last two digits of a user's id: enough to tell users apart on a screen, and not to know one. */
export const masked = (userId: bigint): string => `…${String(userId).slice(-2)}`

/** A campaign as the stores have it; `null`: there is none, or the ledger does not answer. */
export const look = (
  campaignId: number
): Effect.Effect<LiveCampaign | null, never, CampaignStore | Gate | Ledger | Outbox> =>
  Effect.gen(function*() {
    const store = yield* CampaignStore
    const gate = yield* Gate
    const ledger = yield* Ledger
    const outbox = yield* Outbox
    const [found, state, backlog] = yield* Effect.all([
      ask(store.find(campaignId)),
      ask(gate.inspect(campaignId)),
      ask(outbox.backlogOf(campaignId))
    ], { concurrency: 3 })
    const campaign = Option.getOrUndefined(found)
    if (campaign === undefined) return null
    const { couponLimit, endTime, issuedCount, name, phase, startTime, status, version } = campaign
    // Numbers have no gaps, and some may be issued since the campaign was read.
    const coupons = yield* ask(ledger.listCoupons(campaignId, Math.max(0, issuedCount - LATEST), LATEST))
    const latest = Option.getOrElse(coupons, () => [])
    return {
      campaignId,
      name,
      status,
      phase,
      version,
      couponLimit,
      issued: issuedCount,
      startTime,
      endTime: endTime ?? null,
      gate: Option.match(state, {
        onNone: () => null,
        onSome: ({ issued, oldestPendingMillis, pending }) =>
          ({ condition: gateWord(state), issued, pending, oldestPendingMillis })
      }),
      backlog: Option.getOrNull(backlog),
      latest: latest.map(({ id, issuedAt, userId }) => ({ number: id, user: masked(userId), at: issuedAt })).reverse()
    }
  })
