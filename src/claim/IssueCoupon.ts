import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import { randomBytes } from "node:crypto"
import * as Backoff from "../base/Backoff.ts"
import { AppConfig } from "../config/AppConfig.ts"
import type { CampaignId } from "../domain/Campaign.ts"
import type { UserId } from "../domain/Coupon.ts"
import { Unavailable } from "../domain/Failure.ts"
import type { ClaimFailure } from "../domain/Failure.ts"
import type { IssuedCoupon } from "../domain/redemption/Redemption.ts"
import { CouponExpiry } from "../expiry/CouponExpiry.ts"
import { Reconciler } from "../agents/Reconciler.ts"
import * as Batcher from "./Batcher.ts"
import {
  alreadyClaimed,
  deadlineExceeded,
  ended,
  heldBy,
  notFound,
  notStarted,
  outcomeUnknown,
  overloaded,
  paused,
  soldOut,
  unavailable
} from "./ClaimAnswers.ts"
import type { Continuation } from "./Continuation.ts"
import { CouponLookup } from "./CouponLookup.ts"
import { Gate, type GateUnavailable, type ReserveAnswer, type ReserveRequest } from "../ports/Gate.ts"
import { GateRebuilder } from "../agents/GateRebuilder.ts"
import * as GateRoute from "./GateRoute.ts"
import { GroupCommit } from "./GroupCommit.ts"
import { HeldCoupons } from "../agents/HeldCoupons.ts"
import { gateAnswers } from "../metrics/GateMetrics.ts"
import { KnownCampaigns } from "../agents/KnownCampaigns.ts"
import { SaleCounts } from "../agents/sale/SaleCounts.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import type { LedgerUnavailable } from "../ports/Ledger.ts"
import * as SingleFlight from "./SingleFlight.ts"

/** One claim, its ids validated by the caller. */
export interface ClaimRequest {
  readonly campaignId: CampaignId
  readonly userId: UserId
  /** The caller's own timeout in milliseconds, if any (Connect-Timeout-Ms, grpc-timeout). */
  readonly timeoutMillis: number | undefined
}

/** The use case this service exists for. */
export class IssueCoupon extends Context.Tag("coupon/issuance/IssueCoupon")<IssueCoupon, {
  /**
   * Claims a coupon for a user. Succeeds only after the ledger's commit. An admitted claim runs to its end even if its
   * caller leaves. This is the hot path: a claim takes no fiber, which would cost 10 µs, unless it waits for a rebuild
   * of the gate. A rejection that the gate or a queue decides never takes one.
   */
  readonly begin: (request: ClaimRequest, continuation: Continuation<IssuedCoupon, ClaimFailure>) => void
  /** `begin` as an uninterruptible Effect, for callers outside the hot path. */
  readonly claim: (request: ClaimRequest) => Effect.Effect<IssuedCoupon, ClaimFailure>
}>() {}

/**
 * One claim under way, in four steps: 1 it becomes its user's only claim (`SingleFlight`), 2 the gate admits it, 3 it
 * waits after a tentative answer, 4 the ledger decides. Each step is a plain function that calls the next one or ends
 * the claim by `settle`: of about 30 µs, a fiber would cost 10 and each further `Effect.async` 4.
 */
interface Claim {
  readonly campaignId: CampaignId
  readonly userId: UserId
  /** The latest time at which the caller is answered, in milliseconds of `performance.now()`. */
  readonly expiresAt: number
  /** Whether `expiresAt` is the caller's own deadline rather than the server's. */
  readonly ownDeadline: boolean
  /** `undefined` once the claim has ended. This is the one place that keeps "exactly once". */
  continuation: Continuation<IssuedCoupon, ClaimFailure> | undefined
  /** Whether the claim is its user's only one under way, so that its end also ends the flight. */
  leads: boolean
  /** How many of the gate's answers were tentative, and until when the claim asks again. */
  tentative: number
  patientUntil: number
}

/** Requests in one micro-batch. The gate answers one batch at a time, so a larger one delays all others. */
const MICRO_BATCH = 512

/** Pauses between the questions of a claim whose answer was tentative. */
const tentativePause = Backoff.make({ firstMillis: 2, lastMillis: 64 })

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const expiry = yield* CouponExpiry
  const reconciler = yield* Reconciler
  const gate = yield* Gate
  const groupCommit = yield* GroupCommit
  const held = yield* HeldCoupons
  const known = yield* KnownCampaigns
  const sales = yield* SaleCounts
  const campaigns = yield* CampaignStore
  const lookup = yield* CouponLookup
  const rebuilder = yield* GateRebuilder
  const runFork = Runtime.runFork(yield* Effect.runtime<never>())

  const requestMillis = Duration.toMillis(config.requestTimeout)
  const coldWaitMillis = Duration.toMillis(config.coldWait)
  const noncePrefix = `${randomBytes(6).toString("hex")}-`
  let nonces = 0
  const route = GateRoute.make(config.gateBypassAfter)

  const reservations = yield* Batcher.make<ReserveRequest, ReserveAnswer, GateUnavailable>({
    maxBatch: MICRO_BATCH,
    maxInFlight: config.gateBatchesInFlight,
    run: gate.reserve,
    abandoned: (campaignId, { userId }, answer) => {
      if (answer._tag === "Reserved") {
        runFork(Effect.ignore(gate.release(campaignId, [{ userId, value: answer.value }])))
      }
    }
  })
  const soldOutChecks = yield* Batcher.make<UserId, boolean, GateUnavailable>({
    maxBatch: MICRO_BATCH,
    maxInFlight: config.gateBatchesInFlight,
    run: gate.check
  })

  /** Ends a claim, and the flight that it leads. Nothing of it is under way afterwards. */
  const settle = (claim: Claim, exit: Exit.Exit<IssuedCoupon, ClaimFailure>): void => {
    const { continuation } = claim
    if (continuation === undefined) {
      runFork(Effect.logError("a claim ended a second time", Exit.isFailure(exit) ? exit.cause : "with a coupon"))
      return
    }
    claim.continuation = undefined
    sales.ended(claim.campaignId, exit)
    if (claim.leads) flights.leave(claim, heldBy(exit))
    continuation.done(exit)
  }

  const settleByClock = (claim: Claim, committing: boolean): void =>
    settle(claim, claim.ownDeadline ? deadlineExceeded : committing ? outcomeUnknown : unavailable)

  // 1. A user's second claim waits for the first. Claims beyond the queue's limit are shed before they take a slot.
  const flights = SingleFlight.make<Claim>(config.issueQueueLimit, {
    leads: (claim) => {
      claim.leads = true
      admit(claim)
    },
    landed: (claim, coupon) => settle(claim, alreadyClaimed(coupon)),
    expired: (claim) => settleByClock(claim, false)
  })

  const begin: IssueCoupon["Type"]["begin"] = ({ campaignId, timeoutMillis, userId }, continuation) => {
    const coupon = held.find(campaignId, userId)
    if (coupon !== undefined) {
      const exit = alreadyClaimed(coupon)
      sales.ended(campaignId, exit)
      return continuation.done(exit)
    }
    known.touch(campaignId)
    const now = performance.now()
    const ownDeadline = timeoutMillis !== undefined && timeoutMillis < requestMillis
    const claim: Claim = {
      campaignId,
      userId,
      expiresAt: now + (ownDeadline ? timeoutMillis : requestMillis),
      ownDeadline,
      continuation,
      leads: false,
      tentative: 0,
      patientUntil: 0
    }
    if (route.next(campaignId, now) === "Check") checkSoldOut(claim)
    else fly(claim)
  }

  /**
   * Fast path for sold-out campaigns. Runs before deduplication because a rejection takes no slot. Only a possible
   * holder continues.
   */
  const checkSoldOut = (claim: Claim): void =>
    soldOutChecks.enqueue(claim.campaignId, claim.userId, claim.expiresAt, (exit) => {
      if (exit._tag === "Failure") withoutGate(claim, exit.cause, fly)
      else if (exit.value) settle(claim, soldOut)
      else fly(claim)
    })

  const fly = (claim: Claim): void => {
    if (flights.enter(claim) === "Full") settle(claim, overloaded)
  }

  // 2. The gate filters, unless it would let every claim pass: one micro-batch per turn of the event loop.
  const admit = (claim: Claim): void => {
    switch (route.next(claim.campaignId, performance.now())) {
      case "Bypass":
        gateAnswers.Bypassed.add()
        return commit(claim, undefined)
      case "Ledger":
        return commit(claim, undefined)
      case "Check":
      case "Reserve":
        return reserve(claim)
    }
  }

  const reserve = (claim: Claim): void => {
    const request = { userId: claim.userId, nonce: noncePrefix + (nonces++).toString(36) }
    reservations.enqueue(claim.campaignId, request, claim.expiresAt, (exit) => {
      if (exit._tag === "Success") follow(claim, exit.value)
      else withoutGate(claim, exit.cause, admit)
    })
  }

  const follow = (claim: Claim, answer: ReserveAnswer): void => {
    route.answered(claim.campaignId, answer._tag)
    switch (answer._tag) {
      case "Reserved":
        return commit(claim, answer.value)
      case "Already":
        return showHeld(claim)
      case "NotStarted":
        return settle(claim, notStarted)
      case "Ended":
        return settle(claim, ended)
      case "Paused":
        return settle(claim, paused)
      case "SoldOut":
        return settle(claim, soldOut)
      case "Pending":
      case "Full":
      case "Cold":
        return askAgain(claim, answer._tag)
    }
  }

  /** Without an answer of the gate, the ledger decides alone, behind the same bounded queue. */
  const withoutGate = (
    claim: Claim,
    cause: Cause.Cause<GateUnavailable | Batcher.BatchTimeout>,
    goOn: (claim: Claim) => void
  ): void => {
    if (cause._tag !== "Fail") return settle(claim, Exit.failCause(cause as Cause.Cause<never>))
    if (cause.error._tag === "BatchTimeout") return settleByClock(claim, false)
    route.failed(performance.now())
    goOn(claim)
  }

  // 3. The answer was tentative: wait, and ask again until the claim's patience ends.
  const askAgain = (claim: Claim, answer: "Pending" | "Full" | "Cold"): void => {
    const now = performance.now()
    // Another claim has waited in vain meanwhile: do not wait for the same rebuild again.
    if (answer === "Cold" && route.next(claim.campaignId, now) === "Ledger") return commit(claim, undefined)
    if (claim.tentative++ === 0) claim.patientUntil = Math.min(now + coldWaitMillis, claim.expiresAt)
    const patience = claim.patientUntil - now
    if (patience <= 0) return giveUp(claim, answer)
    const pause = Math.min(tentativePause(claim.tentative), patience)
    if (answer === "Cold") rebuildGate(claim, claim.tentative === 1 ? 0 : pause, patience)
    else setTimeout(admit, pause, claim)
  }

  const giveUp = (claim: Claim, answer: "Pending" | "Full" | "Cold"): void => {
    switch (answer) {
      // The user's own slot is held, perhaps by an instance that died. The ledger knows whether there is a coupon, and
      // the slot counts for the claim that commits it.
      case "Pending":
        return commit(claim, undefined)
      case "Full":
        return settle(claim, overloaded)
      case "Cold":
        if (claim.patientUntil >= claim.expiresAt) return settleByClock(claim, false)
        noteLongCold(claim.campaignId)
        return commit(claim, undefined)
    }
  }

  /** A rebuild of a large campaign takes a minute: the ledger decides alone meanwhile, as it does without Redis. */
  const noteLongCold = (campaignId: CampaignId): void => {
    if (route.waitedInVain(campaignId)) {
      runFork(Effect.zipRight(rebuilder.ensure(campaignId), Effect.sync(() => route.rebuilt(campaignId))))
    }
  }

  /** Requests a rebuild of the gate, waits for it until the claim's patience ends, and asks the gate again. */
  const rebuildGate = (claim: Claim, pauseMillis: number, patienceMillis: number): void => {
    const rebuilt = Effect.flatMap(campaigns.find(claim.campaignId), (campaign) =>
      campaign === undefined ? notFound : Effect.interruptible(Effect.raceFirst(
        rebuilder.ensure(claim.campaignId),
        Effect.sleep(Duration.millis(patienceMillis))
      )))
    claim.continuation!.fork(
      (pauseMillis === 0 ? rebuilt : Effect.zipRight(Effect.sleep(Duration.millis(pauseMillis)), rebuilt)).pipe(
        Effect.catchTag("LedgerUnavailable", storeDown),
        Effect.matchCause({
          onFailure: (cause) => settle(claim, Exit.failCause(cause)),
          onSuccess: () => admit(claim)
        }),
        Effect.uninterruptible
      )
    )
  }

  // 4. The ledger decides.
  const commit = (claim: Claim, reservation: string | undefined): void => {
    const { campaignId } = claim
    const queued = { userId: claim.userId, reservation }
    groupCommit.commit(campaignId, queued, claim.expiresAt, (exit) => {
      if (exit._tag === "Success") {
        const outcome = exit.value
        if (outcome._tag === "Rejected") {
          route.rejected(campaignId)
          const { reason } = outcome
          return settle(
            claim,
            reason._tag === "CouponAlreadyClaimed"
              ? alreadyClaimed(expiry.ifRemembered(reason.coupon))
              : Exit.fail(reason)
          )
        }
        route.issued(campaignId)
        held.remember(outcome.coupon)
        return settle(claim, Exit.succeed(outcome.coupon))
      }
      const { cause } = exit
      if (cause._tag !== "Fail") return settle(claim, Exit.failCause(cause as Cause.Cause<never>))
      if (!cause.error.started) groupCommit.withdraw(campaignId, queued)
      settleByClock(claim, cause.error.started)
    })
  }

  /** The gate knows the user as a holder. The ledger has the coupon. */
  const showHeld = (claim: Claim): void => {
    const { campaignId, expiresAt, userId } = claim
    lookup.begin(campaignId, userId, expiresAt, (exit) => {
      if (exit._tag === "Success") {
        if (exit.value !== undefined) {
          const coupon = expiry.ifRemembered(exit.value)
          held.remember(coupon)
          return settle(claim, alreadyClaimed(coupon))
        }
        // The gate has a holder that the ledger lacks, e.g. after a restore of an earlier state: the ledger is right.
        runFork(Effect.ignore(reconciler.reconcile(campaignId)))
        return commit(claim, undefined)
      }
      const { cause } = exit
      if (cause._tag !== "Fail") return settle(claim, Exit.failCause(cause as Cause.Cause<never>))
      if (cause.error._tag === "BatchTimeout") return settleByClock(claim, false)
      settle(claim, storeDown(cause.error))
    })
  }

  const storeDown = ({ cause }: LedgerUnavailable) => Exit.fail(new Unavailable({ retryAfterSeconds: 1, cause }))

  return IssueCoupon.of({
    begin,
    claim: (request) =>
      Effect.flatMap(Effect.runtime<never>(), (runtime) => {
        const fork = Runtime.runFork(runtime)
        return Effect.uninterruptible(
          Effect.async<IssuedCoupon, ClaimFailure>((resume) =>
            begin(request, { done: resume, fork: (work) => void fork(work) })
          )
        )
      })
  })
})

export const layer = Layer.scoped(IssueCoupon, make)
