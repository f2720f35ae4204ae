import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { CampaignId } from "../../domain/CampaignId.ts"
import type { WebhookEndpoint, WebhookId } from "../../domain/webhooks/Webhook.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import type { HeldCursor } from "../../ports/webhooks/WebhookCursors.ts"
import type * as Backlog from "./Backlog.ts"
import type * as EndpointHealth from "./EndpointHealth.ts"
import * as Lane from "./Lane.ts"

export const LEASE_MILLIS = 8_000
/** A lease is not trusted in its last moments. */
const LEASE_MARGIN_MILLIS = 1_000
/** How often a cursor is looked at that is not to be had, at least and at most. */
export const LOOK_MILLIS = 1_000
export const LATEST_LOOK_MILLIS = 60_000

interface Running {
  readonly endpoint: WebhookEndpoint
  readonly held: HeldCursor
  readonly news: Queue.Queue<void>
  readonly fiber: Fiber.RuntimeFiber<void>
}

/** What runs of an instance, and by which leases. */
export interface Lanes {
  /** Runs a lane of a cursor that was leased at this time of `performance.now()`. */
  readonly start: (endpoint: WebhookEndpoint, held: HeldCursor, leasedAt: number) => Effect.Effect<void>
  readonly has: (endpointId: WebhookId, campaignId: CampaignId) => boolean
  /** How many the endpoint has. */
  readonly countOf: (endpointId: WebhookId) => number
  /** The log of a campaign may have more for this endpoint. */
  readonly notify: (endpointId: WebhookId, campaignId: CampaignId) => void
  /** Ends those of such endpoints, as they were when their lanes began. */
  readonly stopOf: (isOver: (endpoint: WebhookEndpoint) => boolean) => Effect.Effect<void>
  /** Extends all leases; ends what was lost. */
  readonly renew: Effect.Effect<void, LedgerUnavailable>
}

const keyOf = (endpointId: WebhookId, campaignId: CampaignId) => `${endpointId}:${campaignId}`

/** `endpointOf`: as it is now; `undefined`: it is gone. `wake`: a cursor may be due again, or its place be free. */
export const make = ({ backlog, endpointOf, health, scope, services, wake }: {
  readonly services: Lane.LaneServices
  readonly backlog: ReturnType<typeof Backlog.make>
  readonly health: ReturnType<typeof EndpointHealth.make>
  readonly endpointOf: (id: WebhookId) => WebhookEndpoint | undefined
  readonly wake: () => void
  /** In which lanes run. */
  readonly scope: Scope.Scope
}): Lanes => {
  const lanes = new Map<string, Running>()
  const leases = new Map<HeldCursor, number>()

  const stop = (those: ReadonlyArray<Running>) =>
    Effect.forEach(those, ({ endpoint, fiber, held }) =>
      Effect.zipRight(
        Fiber.interrupt(fiber),
        Effect.sync(() => {
          lanes.delete(keyOf(endpoint.id, held.campaignId))
          leases.delete(held)
        })
      ), { concurrency: "unbounded", discard: true })

  const start = (endpoint: WebhookEndpoint, held: HeldCursor, leasedAt: number) =>
    Effect.gen(function*() {
      const { campaignId } = held
      const key = keyOf(endpoint.id, campaignId)
      const news = yield* Queue.sliding<void>(1)
      leases.set(held, leasedAt + LEASE_MILLIS)
      const entry = () => backlog.get(endpoint.id, campaignId)
      /** As it is now: whether it fails is noted in it while the lane runs. */
      const current = () => endpointOf(endpoint.id) ?? endpoint
      const watch: Lane.LaneWatch = {
        news,
        isHeld: () => (leases.get(held) ?? 0) - LEASE_MARGIN_MILLIS > performance.now(),
        othersWait: () => {
          const now = performance.now()
          return backlog.of(endpoint.id).some((one) =>
            one.dueAt <= now && !lanes.has(keyOf(endpoint.id, one.campaignId)))
        },
        delivered: (hadFailed) => health.delivered(current(), hadFailed),
        failed: (outcome) => Effect.suspend(() => health.failed(current(), outcome)),
        moved: (position, at) => {
          const behind = entry()
          if (behind === undefined) return
          behind.position = position
          behind.oldestAt = at
        }
      }
      const ended = (waitMillis: number) =>
        Effect.sync(() => {
          lanes.delete(key)
          leases.delete(held)
          const behind = entry()
          if (behind === undefined) return
          behind.dueAt = performance.now() + waitMillis
          wake()
        })
      const lane = Lane.run(services, watch, endpoint, held).pipe(
        Effect.matchCauseEffect({
          onFailure: (cause) =>
            Effect.zipRight(
              Effect.logDebug("the delivery of a webhook failed", cause),
              ended(LOOK_MILLIS)
            ),
          onSuccess: (end) => {
            if (end._tag === "Failed") return ended(Math.min(end.waitMillis, LATEST_LOOK_MILLIS))
            const behind = entry()
            const isDone = behind !== undefined && behind.head <= (behind.position?.sequence ?? 0)
            if (end._tag === "Idle" && isDone) backlog.remove(endpoint.id, campaignId)
            return ended(end._tag === "Lost" ? LOOK_MILLIS : 0)
          }
        }),
        Effect.annotateLogs({ endpoint: endpoint.id, campaignId })
      )
      // Registered before it runs: it may end at once.
      const begun = yield* Effect.makeLatch(false)
      const fiber = yield* Effect.forkIn(Effect.zipRight(begun.await, lane), scope)
      lanes.set(key, { endpoint, held, news, fiber })
      yield* begun.open
    })

  return {
    start,
    has: (endpointId, campaignId) => lanes.has(keyOf(endpointId, campaignId)),
    countOf: (endpointId) => [...lanes.values()].filter(({ endpoint }) => endpoint.id === endpointId).length,
    notify: (endpointId, campaignId) => {
      const lane = lanes.get(keyOf(endpointId, campaignId))
      if (lane !== undefined) Queue.unsafeOffer(lane.news, undefined)
    },
    stopOf: (isOver) => Effect.suspend(() => stop([...lanes.values()].filter(({ endpoint }) => isOver(endpoint)))),
    renew: Effect.gen(function*() {
      const running = [...lanes.values()]
      if (running.length === 0) return
      const now = performance.now()
      const held = new Set(yield* services.cursors.renew(running.map((one) => one.held), LEASE_MILLIS))
      for (const one of held) if (leases.has(one)) leases.set(one, now + LEASE_MILLIS)
      const isRunning = (one: Running) => lanes.get(keyOf(one.endpoint.id, one.held.campaignId)) === one
      yield* stop(running.filter((one) => !held.has(one.held) && isRunning(one)))
    })
  }
}
