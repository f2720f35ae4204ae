import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { CampaignId } from "../domain/Campaign.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { LedgerUnavailable } from "./Ledger.ts"

/** What the ledger's rows of one campaign add up to, all at one moment. */
export interface CampaignFacts {
  readonly campaignId: CampaignId
  readonly couponLimit: number
  /** `current_coupon`. */
  readonly counter: number
  readonly coupons: number
  /** Different users, and different codes, among the coupons. */
  readonly users: number
  readonly codes: number
  /** Coupons without a user whose user is not `erasedUser` either. */
  readonly userless: number
  /** The highest number of a coupon; 0 if there is none. Numbers leave no gap, so it equals `coupons`. */
  readonly highestId: number
  /** `code_count`: how many codes its pool has. */
  readonly codeCount: number
  /** The codes of the pool up to that number; it equals `codeCount`. */
  readonly poolCodes: number
  /** Coupons of a pool's campaign whose code is not the pool's of their number; 0 where codes are drawn. */
  readonly otherCodes: number
  /** Coupons of outbox events that the relay has not settled. */
  readonly unrelayed: number
  readonly expiry: ExpiryFacts
  /** `undefined`: it has no log yet, being older than the log. */
  readonly log: LogFacts | undefined
  readonly redemptions: RedemptionFacts
}

/** What was done to a campaign's coupons after they were issued. */
export interface RedemptionFacts {
  /** The sequence of the last act, and how many there are up to it. */
  readonly last: number
  readonly acts: number
  /** Up to which act the log has them, and how many of its events are of acts. */
  readonly lastLogged: number
  readonly events: number
  /** Coupons that are redeemed more than once at a time, undone more often than redeemed, or redeemed and revoked. */
  readonly wrong: number
  /** Coupons whose state is not the one that their acts leave. */
  readonly differing: number
  /** Requests that have an answer, and the different ids among them. */
  readonly answers: number
  readonly requests: number
  /** `returned` of the campaign, and the revocations that have returned their slot. */
  readonly returned: number
  readonly slots: number
  /** Limit and `returned` as the campaign's last change has left them; `undefined`: no act of its version is known. */
  readonly lastChange: { readonly couponLimit: number; readonly returned: number } | undefined
}

/** What a campaign's requests to redeem come to, held against the expiries of their coupons. */
export interface ExpiryFacts {
  /** Requests that were answered as if the coupon had not expired, although it had by the ledger's clock. */
  readonly late: number
  /** Requests that were refused as expired although their coupon had not. */
  readonly early: number
  /** Validities that are not for coupons beyond those of the one before, or that name coupons beyond the next one. */
  readonly misplaced: number
}

/** What the log of a campaign's events adds up to. */
export interface LogFacts {
  /** Its head: the last sequence, the last one that retention has removed, and the last coupon that is in the log. */
  readonly sequence: number
  readonly removedSequence: number
  readonly lastNumber: number
  /** The events that are there, the first and the last sequence among them (0 without events). */
  readonly events: number
  readonly firstSequence: number
  readonly lastSequence: number
  /** Of the ranges: their first and last coupon (0 without ranges), and how many do not follow the one before. */
  readonly firstIssued: number
  readonly lastIssued: number
  readonly misplaced: number
}

/** A variable of the ledger's sessions, by the database's own name. */
export interface SessionFact {
  readonly name: string
  readonly value: string
  /** What it has to be; `undefined`: it is that. */
  readonly required: string | undefined
}

/** Counts what `Ledger` relies on, by looking at every coupon: for a verification, never for a request. */
export class LedgerFacts extends Context.Tag("coupon/issuance/LedgerFacts")<LedgerFacts, {
  /** Ids of campaigns, ascending, greater than `afterId`, at most `limit`. */
  readonly campaignIds: (
    afterId: CampaignId,
    limit: number
  ) => Effect.Effect<ReadonlyArray<CampaignId>, LedgerUnavailable>
  /**
   * `undefined`: no such campaign. Takes about a second a million coupons, in statements that are short however many
   * there are.
   */
  readonly facts: (campaignId: CampaignId) => Effect.Effect<CampaignFacts | undefined, LedgerUnavailable>
  /** The ledger's clock, which decides when campaigns start and end. */
  readonly now: Effect.Effect<EpochMillis, LedgerUnavailable>
  /**
   * Settings of the database that the durability of a commit depends on, by its own names; none of the embedded one,
   * which sets its own.
   */
  readonly settings: Effect.Effect<Readonly<Record<string, string>>, LedgerUnavailable>
  /**
   * The session variables that statements depend on, as a connection of the pool has them; none of the embedded
   * database.
   */
  readonly session: Effect.Effect<ReadonlyArray<SessionFact>, LedgerUnavailable>
}>() {}
