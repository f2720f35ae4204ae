import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { randomUUID } from "node:crypto"
import * as Backoff from "../base/Backoff.ts"
import { AppConfig } from "../config/AppConfig.ts"
import { type Campaign, type CampaignId, gateTerms } from "../domain/Campaign.ts"
import type { Coupon } from "../domain/Coupon.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { EventStream } from "../ports/EventStream.ts"
import { Gate } from "../ports/Gate.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import { Ledger, type LedgerUnavailable } from "../ports/Ledger.ts"
import { WallClock } from "../base/WallClock.ts"
import type { SinkUnavailable } from "./outbox/CouponSinks.ts"

/**
 * `Ready`: the gate is hydrated, or retired if the campaign ended long ago. `Missing`: the ledger knows no such
 * campaign. `Foreign`: the gate is another deployment's, and stays as it is.
 */
export type RebuildOutcome = "Ready" | "Missing" | "Foreign"

/** Rebuilds a cold gate from the ledger, in pages, into the live set (docs/internals/protocol.md, "Hydration"). */
export class GateRebuilder extends Context.Tag("coupon/issuance/GateRebuilder")<GateRebuilder, {
  /**
   * Rebuilds unless the gate is hydrated; waits while another instance does it. `progress` is called after each page
   * with the coupons that the gate has now and those that there were at the beginning. It must not throw.
   */
  readonly runOnce: (
    campaignId: CampaignId,
    progress?: (coupons: number, of: number) => void
  ) => Effect.Effect<RebuildOutcome, LedgerUnavailable | SinkUnavailable>
  /**
   * Starts a rebuild unless one is under way, and waits for its end. Never fails; interruption does not end the
   * rebuild. A gate of another deployment is tried again until it is free. Meanwhile the campaign's claims go to the
   * ledger alone.
   */
  readonly ensure: (campaignId: CampaignId) => Effect.Effect<void>
  /** As `ensure`, but waits for the first attempt only. */
  readonly attempt: (campaignId: CampaignId) => Effect.Effect<void>
}>() {}

/** A rebuild that does not move its cursor for this long may be taken over by another instance. */
const LEASE_MILLIS = 2_000

/** Reads a page again for 0.6 s: a large rebuild must not begin anew because one connection broke. */
const pageRetries = Schedule.intersect(Backoff.schedule({ firstMillis: 25, lastMillis: 400 }), Schedule.recurs(5))

/** How soon to look again while another instance rebuilds. */
const BUSY_PAUSE = "25 millis"

/** How soon to try again while the gate is another deployment's. */
const FOREIGN_PAUSE = "2 seconds"

/** When the campaign was over, or will be, by the ledger: `ENDED` is its last change. `undefined`: it has no end. */
const overAt = ({ endTime, status, updatedAt }: Campaign): EpochMillis | undefined =>
  status === "ENDED" ? Math.min(endTime ?? updatedAt, updatedAt) : endTime

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const gate = yield* Gate
  const stream = yield* EventStream
  const campaigns = yield* CampaignStore
  const ledger = yield* Ledger
  const { now } = yield* WallClock
  const scope = yield* Effect.scope
  const keptMillis = Duration.toMillis(config.gateKeptAfterEnd)
  const underWay = new Map<
    CampaignId,
    { readonly attempted: Deferred.Deferred<void>; readonly ended: Deferred.Deferred<void> }
  >()

  /** The events of users that the set lacks went with it. Once they are added nothing would publish them (I10). */
  const publishAbsent = (campaignId: CampaignId, page: ReadonlyArray<Coupon>) =>
    Effect.flatMap(gate.absent(campaignId, page), ({ coupons, mark }) => stream.publish(campaignId, coupons, mark))

  /** Feeds the ledger's pages to the gate; false if the gate was lost meanwhile. */
  const hydrate = (campaignId: CampaignId, token: string, page: (coupons: number) => void) =>
    Effect.gen(function*() {
      let cursor = 0
      for (;;) {
        const coupons = yield* Effect.retry(ledger.listCoupons(campaignId, cursor, config.hydratePageSize), pageRetries)
        if (coupons.length > 0) {
          const mark = stream.isOn ? yield* publishAbsent(campaignId, coupons) : undefined
          if (!(yield* gate.hydrateChunk(campaignId, token, cursor, coupons, mark))) return false
          cursor = coupons.at(-1)!.id
          // Coupons are numbered without a gap, so the cursor counts them.
          page(cursor)
        }
        if (coupons.length < config.hydratePageSize) return yield* gate.hydrateEnd(campaignId, token, cursor)
      }
    })

  const runOnce: GateRebuilder["Type"]["runOnce"] = (campaignId, progress) =>
    Effect.gen(function*() {
      for (;;) {
        const before = yield* campaigns.find(campaignId)
        if (before === undefined) return "Missing"
        const over = overAt(before)
        if (over !== undefined && over + keptMillis < now()) {
          // A change that was relayed before found no gate to configure: read the terms once more.
          yield* gate.retire(gateTerms(before))
          const after = yield* campaigns.find(campaignId)
          if (after !== undefined) yield* gate.configure(gateTerms(after))
          return "Ready"
        }
        const token = randomUUID()
        const grant = yield* gate.hydrateBegin(gateTerms(before), token, LEASE_MILLIS)
        if (grant === "Hydrated") return "Ready"
        if (grant === "Foreign") return "Foreign"
        if (grant === "Busy") {
          yield* Effect.sleep(BUSY_PAUSE)
          continue
        }
        // A change that was relayed, or a raise announced, before this generation began found no gate to configure.
        // Read the terms once more, now that the gate takes newer ones.
        const after = yield* campaigns.find(campaignId)
        if (after !== undefined) yield* gate.configure(gateTerms(after))
        if (yield* hydrate(campaignId, token, (coupons) => progress?.(coupons, before.issuedCount))) {
          // A new campaign's gate is opened this way too, which is no news for an operator.
          yield* (before.issuedCount === 0 ? Effect.logDebug : Effect.logInfo)("rebuilt the gate from the ledger").pipe(
            Effect.annotateLogs({ campaignId, issued: before.issuedCount })
          )
          return "Ready"
        }
      }
    })

  const logged = (campaignId: CampaignId) =>
    Effect.catchAllCause(runOnce(campaignId), (cause) =>
      Effect.logWarning("could not rebuild the gate", cause).pipe(
        Effect.annotateLogs({ campaignId }),
        Effect.as("Failed" as const)
      ))

  const start = (campaignId: CampaignId) =>
    Effect.suspend(() => {
      const joined = underWay.get(campaignId)
      if (joined !== undefined) return Effect.succeed(joined)
      const begun = {
        attempted: Deferred.unsafeMake<void>(FiberId.none),
        ended: Deferred.unsafeMake<void>(FiberId.none)
      }
      underWay.set(campaignId, begun)
      const attempts = logged(campaignId).pipe(
        Effect.tap(() => Deferred.succeed(begun.attempted, undefined)),
        Effect.repeat({ while: (outcome) => outcome === "Foreign", schedule: Schedule.spaced(FOREIGN_PAUSE) })
      )
      const ended = Effect.suspend(() => {
        underWay.delete(campaignId)
        return Effect.zipRight(Deferred.succeed(begun.attempted, undefined), Deferred.succeed(begun.ended, undefined))
      })
      return Effect.as(Effect.forkIn(Effect.ensuring(attempts, ended), scope), begun)
    })

  return GateRebuilder.of({
    runOnce,
    ensure: (campaignId) => Effect.flatMap(start(campaignId), ({ ended }) => Deferred.await(ended)),
    attempt: (campaignId) => Effect.flatMap(start(campaignId), ({ attempted }) => Deferred.await(attempted))
  })
})

export const layer = Layer.scoped(GateRebuilder, make)
