import * as Effect from "effect/Effect"
import type { CampaignId } from "../../domain/CampaignId.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { earliest, sinceOf, type WebhookEndpoint, type WebhookId } from "../../domain/webhooks/Webhook.ts"
import type { EventLog, EventLogHead } from "../../ports/EventLog.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import type { WebhookCursors } from "../../ports/webhooks/WebhookCursors.ts"
import type { WebhookEndpoints } from "../../ports/webhooks/WebhookEndpoints.ts"
import type * as Backlog from "./Backlog.ts"
import type { KnownEndpoints } from "./KnownEndpoints.ts"
import type { Lanes } from "./Lanes.ts"

/** `movedSince` may show a head so late. */
const LOOK_BACK_MILLIS = 10_000
const HEADS = 2_000
const DUE = 200

/** Finds out which endpoints lack events of which campaigns, and notes it in the backlog. */
export interface BacklogWatch {
  /** Endpoints that are new here, or were changed, may lack events of any campaign. */
  readonly scan: Effect.Effect<void, LedgerUnavailable>
  /** What was appended to the logs since the last time. */
  readonly follow: Effect.Effect<void, LedgerUnavailable>
  /** What is due after a failure, or was set back by an operator. */
  readonly lookAtDue: Effect.Effect<void, LedgerUnavailable>
  /** Endpoints that are gone are new when they come back. */
  readonly forget: (isGone: (id: WebhookId) => boolean) => void
  /** There is no endpoint to look for: `follow` begins anew at the time of its next run. */
  readonly pause: () => void
}

export const make = ({ backlog, cursors, endpoints, known, lanes, log }: {
  readonly backlog: ReturnType<typeof Backlog.make>
  readonly cursors: WebhookCursors["Type"]
  readonly endpoints: WebhookEndpoints["Type"]
  readonly known: KnownEndpoints
  readonly lanes: Lanes
  readonly log: EventLog["Type"]
}): BacklogWatch => {
  /** Endpoints whose campaigns were all looked at, by version. */
  const scanned = new Map<WebhookId, number>()
  /** Until when heads were read, by the ledger's clock; `undefined`: never. */
  let followed: EpochMillis | undefined
  /** Heads that moved lately, so that each is looked at once. */
  const seen = new Map<CampaignId, EventLogHead>()

  /** Notes that these endpoints lack what the heads say, unless they have it: the cursors say so. */
  const note = (heads: ReadonlyArray<EventLogHead>, those: ReadonlyArray<WebhookEndpoint>, dueAt: number) => {
    for (const { campaignId, sequence } of heads) {
      for (const { id, scope } of those) {
        if (sinceOf(scope, campaignId) === undefined) continue
        backlog.note(id, campaignId, sequence, dueAt)
        lanes.notify(id, campaignId)
      }
    }
  }

  /** Reads all heads that moved at this time or later, page by page. */
  const headsSince = (since: EpochMillis, each: (heads: ReadonlyArray<EventLogHead>) => void) =>
    Effect.gen(function*() {
      let from = since
      for (let limit = HEADS;;) {
        const heads = yield* log.movedSince(from, limit)
        each(heads)
        const last = heads.at(-1)
        if (last === undefined || heads.length < limit) return
        // A page of one and the same time: a larger one reaches beyond it.
        if (last.movedAt === from) limit *= 2
        from = last.movedAt
      }
    })

  return {
    scan: Effect.gen(function*() {
      const those = backlog.hasRoomAgain()
        ? known.enabled()
        : known.enabled().filter(({ id, version }) => scanned.get(id) !== version)
      if (those.length === 0) return
      const since = Math.min(...those.map(({ scope }) => earliest(scope)))
      const now = performance.now()
      for (const { id } of those) for (const behind of backlog.of(id)) behind.dueAt = now
      yield* headsSince(since, (heads) => note(heads, those, now))
      for (const { id, version } of those) scanned.set(id, version)
    }),
    follow: Effect.gen(function*() {
      const those = known.enabled()
      followed ??= yield* endpoints.now
      yield* headsSince(followed - LOOK_BACK_MILLIS, (heads) => {
        const news = heads.filter(({ campaignId, sequence }) => (seen.get(campaignId)?.sequence ?? 0) < sequence)
        for (const head of heads) {
          seen.set(head.campaignId, head)
          followed = Math.max(followed!, head.movedAt)
        }
        note(news, those, performance.now())
      })
      for (const [campaignId, { movedAt }] of seen) {
        if (movedAt < followed - 2 * LOOK_BACK_MILLIS) seen.delete(campaignId)
      }
    }),
    lookAtDue: Effect.gen(function*() {
      const due = (yield* cursors.due(DUE)).filter(({ campaignId, endpointId }) =>
        known.enabledOf(endpointId) !== undefined && !lanes.has(endpointId, campaignId))
      if (due.length === 0) return
      const heads = new Map(
        (yield* log.heads([...new Set(due.map(({ campaignId }) => campaignId))])).map((head) => [head.campaignId, head])
      )
      for (const { campaignId, endpointId } of due) {
        const behind = backlog.note(endpointId, campaignId, heads.get(campaignId)?.sequence ?? 0, 0)
        if (behind !== undefined) behind.dueAt = 0
      }
    }),
    forget: (isGone) => {
      for (const id of scanned.keys()) if (isGone(id)) scanned.delete(id)
    },
    pause: () => {
      followed = undefined
    }
  }
}
