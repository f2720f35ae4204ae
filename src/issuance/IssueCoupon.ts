import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import { randomBytes } from "node:crypto"
import { AppConfig } from "../AppConfig.ts"
import type { CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import {
  CampaignEnded,
  CampaignNotStarted,
  CampaignPaused,
  CouponAlreadyClaimed,
  CouponSoldOut,
  DeadlineExceeded,
  OutcomeUnknown,
  Overloaded,
  RecordNotFound,
  Unavailable
} from "../domain/IssueFailure.ts"
import type { IssueFailure } from "../domain/IssueFailure.ts"
import { Auditor } from "./Auditor.ts"
import * as Batcher from "./Batcher.ts"
import { CouponLookup } from "./CouponLookup.ts"
import { Gate, type GateUnavailable, type ReserveAnswer, type ReserveRequest } from "./Gate.ts"
import { makeGateBypass } from "./GateBypass.ts"
import { GateRebuilder } from "./GateRebuilder.ts"
import { GroupCommit } from "./GroupCommit.ts"
import { HeldCoupons } from "./HeldCoupons.ts"
import { gateAnswers } from "./IssuanceMetrics.ts"
import { KnownCampaigns } from "./KnownCampaigns.ts"
import { Ledger, type LedgerUnavailable } from "./Ledger.ts"
import { type Done, makeFlights } from "./UserFlights.ts"

/** The use case this service exists for. */
export class IssueCoupon extends Context.Tag("coupon/issuance/IssueCoupon")<IssueCoupon, {
  /**
   * Claims a coupon for a user; `done` hears of success only after the ledger's commit. Ids are validated by the caller.
   * `timeoutMillis` is the caller's own timeout, if any (Connect-Timeout-Ms, grpc-timeout). An admitted claim runs to its end
   * even if the caller leaves. `done` is called exactly once, perhaps before this returns, and must not throw; unless what it
   * gets is an `Exit`, it is an Effect that has to be run to its end. The hot path: it takes no fiber, which would cost 10 µs.
   */
  readonly begin: (campaignId: CampaignId, userId: UserId, timeoutMillis: number | undefined, done: Done) => void
}>() {}

/**
 * One claim on its way: 1 (in UserFlights) its user's only one, 2 admitted, by the gate where that has anybody to refuse, 3 perhaps
 * asked to wait, 4 decided by the ledger. Each step is a plain function that calls the next one or ends the claim by `done`: a fiber
 * would cost 10 µs and each further `Effect.async` 4, of some 30. Only what is not the usual course, such as waiting, is an Effect,
 * which `done` is given.
 */
interface Claim {
  readonly campaignId: CampaignId
  readonly userId: UserId
  /** When the caller is answered at the latest, in milliseconds of `performance.now()`. */
  readonly expiresAt: number
  /** Whether `expiresAt` is the caller's own deadline rather than the server's. */
  readonly ownDeadline: boolean
  /** How often the gate's answer was tentative, and until when asking again makes sense. */
  tentative: number
  patientUntil: number
}

/** How long claims go to the ledger alone after the gate failed to answer, before one tries the gate again. */
const GATE_DOWN_MILLIS = 200

/** Sold-out campaigns beyond this many: the one that sold out longest ago is forgotten, and found to be so again by its next claim. */
const MOST_LATCHED = 10_000

/** Requests of one micro-batch; the gate answers one at a time, so larger ones delay everybody. */
const MICRO_BATCH = 512

// Built once: an error takes its stack trace when it is made, which costs more than the rest of a rejection.
const notFound = Effect.fail(new RecordNotFound())
const notStarted = Effect.fail(new CampaignNotStarted())
const ended = Effect.fail(new CampaignEnded())
const paused = Effect.fail(new CampaignPaused())
const soldOut = Effect.fail(new CouponSoldOut())
const overloaded = Effect.fail(new Overloaded({ retryAfterSeconds: 1 }))
const unavailable = Effect.fail(new Unavailable({ retryAfterSeconds: 1 }))
const deadlineExceeded = Effect.fail(new DeadlineExceeded())
const outcomeUnknown = Effect.fail(new OutcomeUnknown())

/** Without a stack trace, which costs 3 µs and tells nothing: this is an answer, not a mistake. */
const alreadyClaimed = (coupon: Coupon): CouponAlreadyClaimed => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  const failure = new CouponAlreadyClaimed({ coupon })
  Error.stackTraceLimit = stackTraceLimit
  return failure
}

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const auditor = yield* Auditor
  const gate = yield* Gate
  const groupCommit = yield* GroupCommit
  const held = yield* HeldCoupons
  const known = yield* KnownCampaigns
  const ledger = yield* Ledger
  const lookup = yield* CouponLookup
  const rebuilder = yield* GateRebuilder
  const runFork = Runtime.runFork(yield* Effect.runtime<never>())

  const requestMillis = Duration.toMillis(config.requestTimeout)
  const coldWaitMillis = Duration.toMillis(config.coldWait)
  const noncePrefix = `${randomBytes(6).toString("hex")}-`
  let nonces = 0
  let gateDownUntil = 0
  /** Campaigns whose gate said SOLD_OUT: their claims are checked, not reserved. Only a detour; the gate still decides. */
  const latched = new Set<CampaignId>()
  /** Campaigns whose gate a claim has awaited in vain, until the rebuild has ended: their claims wait no more. */
  const longCold = new Set<CampaignId>()
  const bypass = makeGateBypass(config.gateBypassAfter)

  const reservations = yield* Batcher.make<ReserveRequest, ReserveAnswer, GateUnavailable>({
    maxBatch: MICRO_BATCH,
    maxInFlight: config.gateBatchesInFlight,
    run: gate.reserve,
    abandoned: (campaignId, { userId }, answer) => {
      if (answer._tag === "Reserved") runFork(Effect.ignore(gate.release(campaignId, [{ userId, value: answer.value }])))
    }
  })
  const soldOutChecks = yield* Batcher.make<UserId, boolean, GateUnavailable>({
    maxBatch: MICRO_BATCH,
    maxInFlight: config.gateBatchesInFlight,
    run: gate.check
  })

  // 1. A user's second claim waits for the first; too many claims of a campaign are shed before a slot is taken.
  const flights = makeFlights(config.issueQueueLimit)

  const begin: IssueCoupon["Type"]["begin"] = (campaignId, userId, timeoutMillis, done) => {
    const coupon = held.find(campaignId, userId)
    if (coupon !== undefined) return done(Exit.fail(alreadyClaimed(coupon)))
    known.touch(campaignId)
    const now = performance.now()
    const ownDeadline = timeoutMillis !== undefined && timeoutMillis < requestMillis
    const expiresAt = now + (ownDeadline ? timeoutMillis : requestMillis)
    const claim: Claim = { campaignId, userId, expiresAt, ownDeadline, tentative: 0, patientUntil: 0 }
    if (latched.has(campaignId) && now >= gateDownUntil) checkSoldOut(claim, done)
    else fly(claim, done)
  }

  /** Ahead of everything else, for no coupon is to be had and a refusal needs no place of its user's: only a holder goes on. */
  const checkSoldOut = (claim: Claim, done: Done): void =>
    soldOutChecks.enqueue(claim.campaignId, claim.userId, claim.expiresAt, (exit) => {
      if (exit._tag === "Failure") withoutGate(claim, exit.cause, done, fly)
      else if (exit.value) done(soldOut)
      else fly(claim, done)
    })

  const courses = {
    leads: (claim: Claim, done: Done) => admit(claim, done),
    full: overloaded,
    landed: (coupon: Coupon) => Effect.fail(alreadyClaimed(coupon)),
    // The first claim got no coupon, so this one asks for itself.
    vanished: (claim: Claim): Effect.Effect<Coupon, IssueFailure> => Effect.async((resume) => fly(claim, resume)),
    expired: (claim: Claim) => expire(claim, false)
  }
  const fly = (claim: Claim, done: Done): void => flights.fly(claim, courses, done)

  // 2. The gate filters, where there is anybody to refuse: one micro-batch a turn of the event loop.
  const admit = (claim: Claim, done: Done): void => {
    if (bypass.isOpen(claim.campaignId)) {
      gateAnswers.Bypassed.add()
      commit(claim, undefined, done)
    } else if (performance.now() < gateDownUntil) commit(claim, undefined, done)
    else reserve(claim, done)
  }

  const reserve = (claim: Claim, done: Done): void => {
    const request = { userId: claim.userId, nonce: noncePrefix + (nonces++).toString(36) }
    reservations.enqueue(claim.campaignId, request, claim.expiresAt, (exit) => {
      if (exit._tag === "Success") follow(claim, exit.value, done)
      else withoutGate(claim, exit.cause, done, admit)
    })
  }

  const follow = (claim: Claim, answer: ReserveAnswer, done: Done): void => {
    if (answer._tag !== "Reserved" && answer._tag !== "Cold") bypass.refused(claim.campaignId)
    switch (answer._tag) {
      case "Reserved":
        latched.delete(claim.campaignId)
        return commit(claim, answer.value, done)
      case "Already":
        return done(showHeld(claim))
      case "NotStarted":
        return done(notStarted)
      case "Ended":
        return done(ended)
      case "Paused":
        return done(paused)
      case "SoldOut":
        if (latched.size >= MOST_LATCHED) latched.delete(latched.values().next().value!)
        latched.add(claim.campaignId)
        return done(soldOut)
      case "Pending":
      case "Full":
      case "Cold":
        return done(askAgain(claim, answer._tag))
    }
  }

  /** The gate is down, and `goOn` finds it so: the ledger decides alone, behind the same bounded queue. */
  const withoutGate = (
    claim: Claim,
    cause: Cause.Cause<GateUnavailable | Batcher.BatchTimeout>,
    done: Done,
    goOn: (claim: Claim, done: Done) => void
  ): void => {
    if (cause._tag !== "Fail") return done(Effect.failCause(cause as Cause.Cause<never>))
    if (cause.error._tag === "BatchTimeout") return done(expire(claim, false))
    gateDownUntil = performance.now() + GATE_DOWN_MILLIS
    goOn(claim, done)
  }

  // 3. A tentative answer is no answer: wait a little and ask again, for as long as that makes sense.
  const askAgain = (claim: Claim, answer: "Pending" | "Full" | "Cold"): Effect.Effect<Coupon, IssueFailure> =>
    Effect.suspend(() => {
      if (answer === "Cold" && longCold.has(claim.campaignId)) return commitLate(claim)
      const now = performance.now()
      if (claim.tentative++ === 0) claim.patientUntil = Math.min(now + coldWaitMillis, claim.expiresAt)
      const patience = claim.patientUntil - now
      if (patience <= 0) return giveUp(claim, answer)
      // 2 ms doubling to 50 ms, with jitter so that those who wait together do not come back together.
      const pause = Effect.sleep(Duration.millis(Math.min(Math.min(2 ** claim.tentative, 50) * (0.5 + Math.random()), patience)))
      const again = Effect.async<Coupon, IssueFailure>((resume) => admit(claim, resume))
      if (answer !== "Cold") return Effect.zipRight(pause, again)
      const rebuilt = rebuildGate(claim, patience)
      return Effect.zipRight(claim.tentative === 1 ? rebuilt : Effect.zipRight(pause, rebuilt), again)
    })

  const giveUp = (claim: Claim, answer: "Pending" | "Full" | "Cold"): Effect.Effect<Coupon, IssueFailure> => {
    switch (answer) {
      // The user's own slot is held, perhaps by an instance that died: the ledger knows whether there is a coupon, and the
      // slot counts for whoever commits it.
      case "Pending":
        return commitLate(claim)
      case "Full":
        return overloaded
      case "Cold":
        if (claim.patientUntil >= claim.expiresAt) return expire(claim, false)
        noteLongCold(claim.campaignId)
        return commitLate(claim)
    }
  }

  /** A large campaign's rebuild takes a minute: the ledger decides alone meanwhile, as it does without Redis. */
  const noteLongCold = (campaignId: CampaignId): void => {
    if (longCold.has(campaignId)) return
    longCold.add(campaignId)
    runFork(Effect.zipRight(rebuilder.ensure(campaignId), Effect.sync(() => longCold.delete(campaignId))))
  }

  const rebuildGate = (claim: Claim, patience: number): Effect.Effect<void, RecordNotFound | Unavailable> =>
    Effect.matchEffect(ledger.findCampaign(claim.campaignId), {
      onFailure: (failure) => storeDown(failure),
      onSuccess: (campaign) =>
        campaign === undefined
          ? notFound
          : Effect.raceFirst(
            Effect.interruptible(rebuilder.ensure(claim.campaignId)),
            Effect.interruptible(Effect.sleep(Duration.millis(patience)))
          )
    })

  // 4. The ledger decides.
  const commit = (claim: Claim, reservation: string | undefined, done: Done): void => {
    const queued = { userId: claim.userId, reservation }
    groupCommit.commit(claim.campaignId, queued, claim.expiresAt, (exit) => {
      if (exit._tag === "Success") {
        const outcome = exit.value
        if (outcome._tag === "Refused") {
          bypass.refused(claim.campaignId)
          return done(Exit.fail(outcome.reason))
        }
        bypass.issued(claim.campaignId)
        held.remember(outcome.coupon)
        return done(Exit.succeed(outcome.coupon))
      }
      const { cause } = exit
      if (cause._tag !== "Fail") return done(Effect.failCause(cause as Cause.Cause<never>))
      return done(cause.error.started
        ? expire(claim, true)
        : Effect.zipRight(groupCommit.withdraw(claim.campaignId, queued), expire(claim, false)))
    })
  }

  const commitLate = (claim: Claim) => Effect.async<Coupon, IssueFailure>((resume) => commit(claim, undefined, resume))

  /** The gate knows the user as a holder; what they hold, the ledger knows. */
  const showHeld = (claim: Claim): Effect.Effect<Coupon, IssueFailure> =>
    Effect.matchEffect(lookup.find(claim.campaignId, claim.userId, claim.expiresAt), {
      onSuccess: (coupon): Effect.Effect<Coupon, IssueFailure> => {
        if (coupon !== undefined) {
          held.remember(coupon)
          return Effect.fail(alreadyClaimed(coupon))
        }
        // The gate has a holder that the ledger does not know (a ledger restored to an earlier state): the ledger is right.
        runFork(Effect.ignore(auditor.runOnce(claim.campaignId)))
        return commitLate(claim)
      },
      onFailure: (failure) => failure._tag === "BatchTimeout" ? expire(claim, false) : storeDown(failure)
    })

  const storeDown = (failure: LedgerUnavailable) => Effect.fail(new Unavailable({ retryAfterSeconds: 1, cause: failure.cause }))

  const expire = (claim: Claim, committing: boolean): Effect.Effect<Coupon, IssueFailure> =>
    claim.ownDeadline ? deadlineExceeded : committing ? outcomeUnknown : unavailable

  return IssueCoupon.of({ begin })
})

export const layer = Layer.scoped(IssueCoupon, make)
