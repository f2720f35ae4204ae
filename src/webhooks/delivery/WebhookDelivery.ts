import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import { AppConfig } from "../../config/AppConfig.ts"
import type { CampaignId } from "../../domain/CampaignId.ts"
import { sinceOf, type WebhookEndpoint, type WebhookId } from "../../domain/webhooks/Webhook.ts"
import { webhooks } from "./WebhookMetrics.ts"
import { EventLog } from "../../ports/EventLog.ts"
import { CouponExpiry } from "../../expiry/CouponExpiry.ts"
import { Ledger, type LedgerUnavailable } from "../../ports/Ledger.ts"
import { WebhookCursors } from "../../ports/webhooks/WebhookCursors.ts"
import { WebhookEndpoints } from "../../ports/webhooks/WebhookEndpoints.ts"
import { WebhookRecords } from "../../ports/webhooks/WebhookRecords.ts"
import * as SecretBox from "../secrets/SecretBox.ts"
import { WebhookSender } from "../sending/WebhookSender.ts"
import * as Backlog from "./Backlog.ts"
import * as BacklogWatch from "./BacklogWatch.ts"
import * as EndpointHealth from "./EndpointHealth.ts"
import * as KnownEndpoints from "./KnownEndpoints.ts"
import type { LaneServices } from "./Lane.ts"
import * as Lanes from "./Lanes.ts"
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

/** Campaigns that one claim asks for. */
const CLAIMED = 20
/** How often a run looks at what others change. */
const OTHERS_MILLIS = 1_000
/** Between two runs that were woken, so that a sale's commits do not each cause one. */
const WAKE_PAUSE = "20 millis"

const ATTEMPTS_KEPT = Duration.toMillis(Duration.days(30))
const MAX_ATTEMPTS_KEPT = 10_000

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
    const services: LaneServices = {
      cursors,
      log,
      ledger,
      expiry,
      box,
      sender,
      pauseAfter: Retries.make(config.webhookRetries)
    }
    const woken = yield* Queue.sliding<void>(1)

    const wake = () => void Queue.unsafeOffer(woken, undefined)
    const known = KnownEndpoints.make(endpoints, box)
    const lanes = Lanes.make({ services, backlog, health, endpointOf: known.get, wake, scope })
    const watch = BacklogWatch.make({ backlog, cursors, endpoints, known, lanes, log })
    const parkedLanes = new Set<WebhookId>()

    const refresh = Effect.gen(function*() {
      if (!(yield* known.refresh)) return
      const isGone = (id: WebhookId) => known.enabledOf(id) === undefined
      backlog.removeAllOf(isGone)
      yield* lanes.stopOf(({ id, version }) => isGone(id) || known.get(id)?.version !== version)
      watch.forget(isGone)
      yield* known.reseal
    })

    const claimFor = (endpoint: WebhookEndpoint) =>
      Effect.gen(function*() {
        const now = performance.now()
        const room = endpoint.concurrency - lanes.countOf(endpoint.id)
        if (room <= 0) return
        const due = backlog.of(endpoint.id)
          .filter((one) => one.dueAt <= now && !lanes.has(endpoint.id, one.campaignId))
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
          leaseMillis: Lanes.LEASE_MILLIS
        })
        for (const cursor of held) yield* lanes.start(endpoint, cursor, now)
        yield* Effect.forEach(others, ({ campaignId, position, waitMillis }) =>
          Effect.gen(function*() {
            const behind = backlog.get(endpoint.id, campaignId)
            if (behind === undefined) return
            if (position.sequence >= behind.head) return backlog.remove(endpoint.id, campaignId)
            const isSame = behind.position?.sequence === position.sequence
            behind.position = position
            // A lease may end early, when its instance stops.
            const look = waitMillis > Lanes.LEASE_MILLIS ? waitMillis : Lanes.LOOK_MILLIS
            behind.dueAt = performance.now() + Math.min(look, Lanes.LATEST_LOOK_MILLIS)
            if (isSame && behind.oldestAt !== undefined) return
            behind.oldestAt = (yield* log.read(campaignId, position.sequence, 1))[0]?.at
          }), { discard: true })
      })

    const parked = Effect.gen(function*() {
      for (const id of yield* records.dueParked) {
        if (known.enabledOf(id) === undefined || parkedLanes.has(id)) continue
        parkedLanes.add(id)
        const lane = ParkedLane.run({ ...services, records, health, enabled: known.enabledOf }, id, owner)
        yield* Effect.forkIn(
          Effect.ensuring(Effect.ignoreLogged(lane), Effect.sync(() => parkedLanes.delete(id))),
          scope
        )
      }
    })

    const states = (now: number): ReadonlyArray<WebhookState> => {
      const found = backlog.summary()
      return known.all().map((endpoint) => {
        const { events = 0, oldestAt } = found.get(endpoint.id) ?? {}
        return { endpoint, backlog: events, lagMillis: oldestAt === undefined ? 0 : Math.max(0, now - oldestAt) }
      })
    }

    const measure = (now: number) => {
      const all = states(now)
      const those = all.filter(({ endpoint }) => KnownEndpoints.isEnabled(endpoint))
      webhooks.lagEvents.set(those.reduce((sum, one) => sum + one.backlog, 0))
      webhooks.lagSeconds.set(Math.max(0, ...those.map(({ lagMillis }) => lagMillis)) / 1_000)
      webhooks.enabled.set(those.length)
      webhooks.failing.set(those.filter(({ endpoint }) => endpoint.failingSince !== undefined).length)
      webhooks.isDisabled.set(all.length - those.length)
    }

    /** What a run looks at once a second, as others change it. */
    let lookedAt = Number.NEGATIVE_INFINITY
    const lookAtOthers = Effect.gen(function*() {
      if (performance.now() - lookedAt < OTHERS_MILLIS) return
      yield* watch.lookAtDue
      yield* parked
      lookedAt = performance.now()
    })

    return WebhookDelivery.of({
      runOnce: Effect.gen(function*() {
        yield* refresh
        if (known.enabled().length > 0) {
          yield* watch.scan
          yield* watch.follow
          yield* lookAtOthers
          for (const endpoint of known.enabled()) yield* claimFor(endpoint)
        } else watch.pause()
        measure(yield* Clock.currentTimeMillis)
      }),
      renew: lanes.renew,
      purge: records.purge(ATTEMPTS_KEPT, MAX_ATTEMPTS_KEPT),
      noticed: (campaignIds) => {
        const all = known.all()
        if (all.length === 0) return
        for (const campaignId of campaignIds) for (const { id } of all) lanes.notify(id, campaignId)
        wake()
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
