import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import { AppConfig } from "../../config/AppConfig.ts"
import type { CampaignId } from "../../domain/CampaignId.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { earliest, sinceOf, type WebhookEndpoint, type WebhookId } from "../../domain/webhooks/Webhook.ts"
import { webhooks } from "./WebhookMetrics.ts"
import { EventLog, type EventLogHead } from "../../ports/EventLog.ts"
import { CouponExpiry } from "../../expiry/CouponExpiry.ts"
import { Ledger, type LedgerUnavailable } from "../../ports/Ledger.ts"
import { type HeldCursor, WebhookCursors } from "../../ports/webhooks/WebhookCursors.ts"
import { WebhookEndpoints } from "../../ports/webhooks/WebhookEndpoints.ts"
import { WebhookRecords } from "../../ports/webhooks/WebhookRecords.ts"
import * as SecretBox from "../secrets/SecretBox.ts"
import { WebhookSender } from "../sending/WebhookSender.ts"
import * as Backlog from "./Backlog.ts"
import * as EndpointHealth from "./EndpointHealth.ts"
import * as Lane from "./Lane.ts"
import * as ParkedLane from "./ParkedLane.ts"
import * as Retries from "./Retries.ts"

/** How an endpoint is doing, as this instance sees it. */
export interface WebhookState {
  readonly endpoint: WebhookEndpoint
  /** Events of the logs that it has not taken. */
  readonly backlog: number
  /** Age of the oldest of them; 0: there is none. */
  readonly lagMillis: number
}

/**
 * Delivers the event logs to endpoints. Every instance does it; a lease on each cursor decides which one. What an
 * instance held that died is taken over within 10 s: the lease lasts 8, and the others look every second.
 */
export class WebhookDelivery extends Context.Tag("coupon/webhooks/WebhookDelivery")<WebhookDelivery, {
  /** Looks for events that endpoints lack, and starts their delivery, which goes on after this returns. */
  readonly runOnce: Effect.Effect<void, LedgerUnavailable>
  /** Extends the leases of what this instance delivers; ends what it has lost. */
  readonly renew: Effect.Effect<void, LedgerUnavailable>
  /** Removes attempts that are old or too many. */
  readonly purge: Effect.Effect<void, LedgerUnavailable>
  /** These campaigns have new events. Returns at once. */
  readonly noticed: (campaignIds: ReadonlyArray<CampaignId>) => void
  /** Completes when `runOnce` is to run early. */
  readonly woken: Effect.Effect<void>
  readonly states: () => ReadonlyArray<WebhookState>
}>() {}

export const LEASE_MILLIS = 8_000
/** A lease is not trusted in its last moments. */
const LEASE_MARGIN_MILLIS = 1_000
/** `movedSince` may show a head so late. */
const LOOK_BACK_MILLIS = 10_000
const HEADS = 2_000
/** How old the endpoints may be that an instance knows. */
const ENDPOINTS_MILLIS = 1_000
/** Campaigns that one claim asks for. */
const CLAIMED = 20
const DUE = 200
/** How often a cursor is looked at that another instance holds, at least and at most. */
const LOOK_MILLIS = 1_000
const LATEST_LOOK_MILLIS = 60_000
/** Between two runs that were woken, so that a sale's commits do not each cause one. */
const WAKE_PAUSE = "20 millis"

const ATTEMPTS_KEPT = Duration.toMillis(Duration.days(30))
const MAX_ATTEMPTS_KEPT = 10_000

interface Running {
  readonly endpoint: WebhookEndpoint
  readonly held: HeldCursor
  readonly news: Queue.Queue<void>
  readonly fiber: Fiber.RuntimeFiber<void>
}

const off: WebhookDelivery["Type"] = {
  runOnce: Effect.void,
  renew: Effect.void,
  purge: Effect.void,
  noticed: () => {},
  woken: Effect.never,
  states: () => []
}

const OFF = "webhooks are off, and endpoints wait for their events: SECRETS_KEY is not set"

/** Without SECRETS_KEY, it says so where endpoints wait. */
const makeOff = Effect.map(WebhookEndpoints, (endpoints): WebhookDelivery["Type"] => {
  let isSaid = false
  return {
    ...off,
    runOnce: Effect.suspend(() =>
      isSaid ? Effect.void : Effect.flatMap(endpoints.all, (all) => {
        isSaid = true
        return all.some(({ status }) => status === "ENABLED") ? Effect.logWarning(OFF) : Effect.void
      }))
  }
})

const makeOn = (box: SecretBox.SecretBox) =>
  Effect.gen(function*() {
    const config = yield* AppConfig
    const endpoints = yield* WebhookEndpoints
    const cursors = yield* WebhookCursors
    const records = yield* WebhookRecords
    const log = yield* EventLog
    const ledger = yield* Ledger
    const expiry = yield* CouponExpiry
    const sender = yield* WebhookSender
    const scope = yield* Effect.scope
    const health = EndpointHealth.make(endpoints)
    const backlog = Backlog.make()
    const owner = randomBytes(12).toString("hex")
    const services: Lane.LaneServices = {
      cursors,
      log,
      ledger,
      expiry,
      box,
      sender,
      pauseAfter: Retries.make(config.webhookRetries)
    }
    const woken = yield* Queue.sliding<void>(1)

    const lanes = new Map<string, Running>()
    const leases = new Map<HeldCursor, number>()
    const parkedLanes = new Set<WebhookId>()
    let known: ReadonlyMap<WebhookId, WebhookEndpoint> = new Map()
    let readAt = Number.NEGATIVE_INFINITY
    /** Endpoints whose campaigns were all looked at, by version. */
    const scanned = new Map<WebhookId, number>()
    /** Until when heads were read, by the ledger's clock; `undefined`: never. */
    let followed: EpochMillis | undefined
    /** Heads that moved lately, so that each is looked at once. */
    const seen = new Map<CampaignId, EventLogHead>()

    const keyOf = (endpointId: WebhookId, campaignId: CampaignId) => `${endpointId}:${campaignId}`
    const isEnabled = ({ status }: WebhookEndpoint) => status === "ENABLED"
    const enabled = () => [...known.values()].filter(isEnabled)
    const enabledOf = (id: WebhookId) => {
      const endpoint = known.get(id)
      return endpoint !== undefined && isEnabled(endpoint) ? endpoint : undefined
    }
    const lanesOf = (id: WebhookId) => [...lanes.values()].filter(({ endpoint }) => endpoint.id === id).length

    const start = (endpoint: WebhookEndpoint, held: HeldCursor, leasedAt: number) =>
      Effect.gen(function*() {
        const { campaignId } = held
        const key = keyOf(endpoint.id, campaignId)
        const news = yield* Queue.sliding<void>(1)
        leases.set(held, leasedAt + LEASE_MILLIS)
        const entry = () => backlog.get(endpoint.id, campaignId)
        /** As it is now: whether it fails is noted in it while the lane runs. */
        const current = () => known.get(endpoint.id) ?? endpoint
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
            Queue.unsafeOffer(woken, undefined)
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

    const stop = (those: ReadonlyArray<Running>) =>
      Effect.forEach(those, ({ endpoint, fiber, held }) =>
        Effect.zipRight(
          Fiber.interrupt(fiber),
          Effect.sync(() => {
            lanes.delete(keyOf(endpoint.id, held.campaignId))
            leases.delete(held)
          })
        ), { concurrency: "unbounded", discard: true })

    /** Notes that these endpoints lack what the heads say, unless they have it: the cursors say so. */
    const note = (heads: ReadonlyArray<EventLogHead>, those: ReadonlyArray<WebhookEndpoint>, dueAt: number) => {
      for (const { campaignId, sequence } of heads) {
        for (const { id, scope } of those) {
          if (sinceOf(scope, campaignId) === undefined) continue
          backlog.note(id, campaignId, sequence, dueAt)
          const lane = lanes.get(keyOf(id, campaignId))
          if (lane !== undefined) Queue.unsafeOffer(lane.news, undefined)
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

    const refresh = Effect.gen(function*() {
      const now = performance.now()
      if (now - readAt < ENDPOINTS_MILLIS) return
      const all = yield* endpoints.all
      readAt = now
      known = new Map(all.map((endpoint) => [endpoint.id, endpoint]))
      const isGone = (id: WebhookId) => {
        const endpoint = known.get(id)
        return endpoint === undefined || !isEnabled(endpoint)
      }
      backlog.removeAllOf(isGone)
      const changed = (endpoint: WebhookEndpoint) => known.get(endpoint.id)?.version !== endpoint.version
      yield* stop([...lanes.values()].filter(({ endpoint }) => isGone(endpoint.id) || changed(endpoint)))
      for (const id of scanned.keys()) if (isGone(id)) scanned.delete(id)
      for (const endpoint of all) {
        if (endpoint.secrets.some(({ sealed }) => box.isStale(sealed))) yield* reseal(endpoint)
      }
    })

    /** A secret that cannot be opened stays as it is. */
    const reseal = (endpoint: WebhookEndpoint) => {
      const sealed = endpoint.secrets.map(({ sealed }) => {
        const opened = box.open(sealed, endpoint.id)
        return opened._tag === "Right" ? box.seal(opened.right, endpoint.id) : sealed
      })
      const isBetter = sealed.some((one) => !box.isStale(one))
      return isBetter ? endpoints.reseal(endpoint, sealed) : Effect.void
    }

    /** Endpoints that are new here, or were changed, may lack events of any campaign. */
    const scan = Effect.gen(function*() {
      const those = backlog.hasRoomAgain()
        ? enabled()
        : enabled().filter(({ id, version }) => scanned.get(id) !== version)
      if (those.length === 0) return
      const since = Math.min(...those.map(({ scope }) => earliest(scope)))
      const now = performance.now()
      for (const { id } of those) for (const behind of backlog.of(id)) behind.dueAt = now
      yield* headsSince(since, (heads) => note(heads, those, now))
      for (const { id, version } of those) scanned.set(id, version)
    })

    const follow = Effect.gen(function*() {
      const those = enabled()
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
    })

    /** What is due after a failure, or was set back by an operator. */
    const lookAtDue = Effect.gen(function*() {
      const due = (yield* cursors.due(DUE)).filter(({ campaignId, endpointId }) =>
        known.get(endpointId)?.status === "ENABLED" && !lanes.has(keyOf(endpointId, campaignId)))
      if (due.length === 0) return
      const heads = new Map(
        (yield* log.heads([...new Set(due.map(({ campaignId }) => campaignId))])).map((head) => [head.campaignId, head])
      )
      for (const { campaignId, endpointId } of due) {
        const behind = backlog.note(endpointId, campaignId, heads.get(campaignId)?.sequence ?? 0, 0)
        if (behind !== undefined) behind.dueAt = 0
      }
    })

    const claimFor = (endpoint: WebhookEndpoint) =>
      Effect.gen(function*() {
        const now = performance.now()
        const room = endpoint.concurrency - lanesOf(endpoint.id)
        if (room <= 0) return
        const due = backlog.of(endpoint.id)
          .filter((one) => one.dueAt <= now && !lanes.has(keyOf(endpoint.id, one.campaignId)))
          .sort((a, b) => a.dueAt - b.dueAt)
          .slice(0, CLAIMED)
        if (due.length === 0) return
        const campaigns = due.map(({ campaignId }) => ({
          campaignId,
          since: sinceOf(endpoint.scope, campaignId) ?? endpoint.createdAt
        }))
        const { held, others } = yield* cursors.claim({
          endpointId: endpoint.id,
          campaigns,
          concurrency: endpoint.concurrency,
          owner,
          leaseMillis: LEASE_MILLIS
        })
        for (const cursor of held) yield* start(endpoint, cursor, now)
        yield* Effect.forEach(others, ({ campaignId, position, waitMillis }) =>
          Effect.gen(function*() {
            const behind = backlog.get(endpoint.id, campaignId)
            if (behind === undefined) return
            if (position.sequence >= behind.head) return backlog.remove(endpoint.id, campaignId)
            const isSame = behind.position?.sequence === position.sequence
            behind.position = position
            // A lease may end early, when its instance stops.
            const look = waitMillis > LEASE_MILLIS ? waitMillis : LOOK_MILLIS
            behind.dueAt = performance.now() + Math.min(look, LATEST_LOOK_MILLIS)
            if (isSame && behind.oldestAt !== undefined) return
            behind.oldestAt = (yield* log.read(campaignId, position.sequence, 1))[0]?.at
          }), { discard: true })
      })

    const parked = Effect.gen(function*() {
      for (const id of yield* records.dueParked) {
        if (enabledOf(id) === undefined || parkedLanes.has(id)) continue
        parkedLanes.add(id)
        const lane = ParkedLane.run({ ...services, records, health, enabled: enabledOf }, id, owner)
        yield* Effect.forkIn(
          Effect.ensuring(Effect.ignoreLogged(lane), Effect.sync(() => parkedLanes.delete(id))),
          scope
        )
      }
    })

    const states = (now: number): ReadonlyArray<WebhookState> => {
      const found = backlog.summary()
      return [...known.values()].map((endpoint) => {
        const { events = 0, oldestAt } = found.get(endpoint.id) ?? {}
        return { endpoint, backlog: events, lagMillis: oldestAt === undefined ? 0 : Math.max(0, now - oldestAt) }
      })
    }

    const measure = (now: number) => {
      const all = states(now)
      const those = all.filter(({ endpoint }) => isEnabled(endpoint))
      webhooks.lagEvents.set(those.reduce((sum, one) => sum + one.backlog, 0))
      webhooks.lagSeconds.set(Math.max(0, ...those.map(({ lagMillis }) => lagMillis)) / 1_000)
      webhooks.enabled.set(those.length)
      webhooks.failing.set(those.filter(({ endpoint }) => endpoint.failingSince !== undefined).length)
      webhooks.isDisabled.set(all.length - those.length)
    }

    /** What a run looks at once a second, as others change it. */
    let lookedAt = Number.NEGATIVE_INFINITY
    const lookAtOthers = Effect.gen(function*() {
      if (performance.now() - lookedAt < ENDPOINTS_MILLIS) return
      yield* lookAtDue
      yield* parked
      lookedAt = performance.now()
    })

    return WebhookDelivery.of({
      runOnce: Effect.gen(function*() {
        yield* refresh
        if (enabled().length > 0) {
          yield* scan
          yield* follow
          yield* lookAtOthers
          for (const endpoint of enabled()) yield* claimFor(endpoint)
        } else followed = undefined
        measure(yield* Clock.currentTimeMillis)
      }),
      renew: Effect.gen(function*() {
        const running = [...lanes.values()]
        if (running.length === 0) return
        const now = performance.now()
        const held = new Set(yield* cursors.renew(running.map((one) => one.held), LEASE_MILLIS))
        for (const one of held) if (leases.has(one)) leases.set(one, now + LEASE_MILLIS)
        const isRunning = (one: Running) => lanes.get(keyOf(one.endpoint.id, one.held.campaignId)) === one
        yield* stop(running.filter((one) => !held.has(one.held) && isRunning(one)))
      }),
      purge: records.purge(ATTEMPTS_KEPT, MAX_ATTEMPTS_KEPT),
      noticed: (campaignIds) => {
        if (known.size === 0) return
        for (const campaignId of campaignIds) {
          for (const id of known.keys()) {
            const lane = lanes.get(keyOf(id, campaignId))
            if (lane !== undefined) Queue.unsafeOffer(lane.news, undefined)
          }
        }
        Queue.unsafeOffer(woken, undefined)
      },
      woken: Effect.zipRight(Queue.take(woken), Effect.sleep(WAKE_PAUSE)),
      states: () => states(Date.now())
    })
  })

export const make = Effect.flatMap(AppConfig, ({ secretsKey }) =>
  Option.match(secretsKey, {
    onNone: () => makeOff,
    onSome: (keys) => makeOn(SecretBox.make(Redacted.value(keys)))
  }))

export const layer = Layer.scoped(WebhookDelivery, make)
