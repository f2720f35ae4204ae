import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { CampaignId, CampaignTerms } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import type { EventMark } from "./EventStream.ts"

/** The gate did not answer. Whether the operation was done is unknown and does not matter: every one is idempotent. */
export class GateUnavailable extends Data.TaggedError("GateUnavailable")<{ readonly cause: unknown }> {}

/** A slot held for a user while the ledger decides. `value` is `microseconds:nonce` of the gate's own clock. */
export interface Reservation {
  readonly userId: UserId
  readonly value: string
}

/** One user's request for a slot; the same nonce gets the same answer. */
export interface ReserveRequest {
  readonly userId: UserId
  /** Unique per attempt, at most 32 characters of [0-9a-z-]. */
  readonly nonce: string
}

/** A coupon whose user was erased. */
export interface ErasedHolder {
  /** The coupon's number. */
  readonly id: number
  readonly userId: UserId
  /** The user has claimed again since, and stays in the issued set for that other coupon. */
  readonly holdsAnother: boolean
}

/**
 * The gate's answer:
 * - `Reserved`: a slot is held under `value`;
 * - `Already`: the user is in the issued set; `Pending`: another attempt of the user holds a slot (tentative);
 * - `NotStarted`, `Ended`: by the gate's clock with 2 s of slack, in favour of asking the ledger; `Paused`;
 * - `SoldOut`: the issued set alone reaches the limit, a fact;
 * - `Full`: the set reaches the limit only together with reservations (tentative: ask again);
 * - `Cold`: the gate knows too little and must be rebuilt.
 */
export type ReserveAnswer =
  | { readonly _tag: "Reserved"; readonly value: string }
  | {
    readonly _tag: "Already" | "Pending" | "NotStarted" | "Ended" | "Paused" | "SoldOut" | "Full" | "Cold"
  }

/**
 * The condition of a campaign's gate:
 * - `Sound`;
 * - `Retired`: the campaign ended long ago, so the gate knows no users and lets every claim through;
 * - `Broken`: its content cannot be read, so it answers nothing and has to be forgotten and rebuilt;
 * - `Foreign`: it is another deployment's.
 */
export type GateCondition = "Sound" | "Retired" | "Broken" | "Foreign"

/** A look at a campaign's gate. All but `condition` is empty unless it is `Sound` or `Retired`. */
export interface GateState {
  readonly condition: GateCondition
  /** The token of the hydration that is under way or completed; `undefined`: none since the gate lost its memory. */
  readonly generation: string | undefined
  readonly hydrated: boolean
  /** Users in the issued set. */
  readonly issued: number
  /** Reservations in flight. */
  readonly pending: number
  /** Of the campaign's terms that the gate goes by; 0: it has none. */
  readonly version: number
  /** Age of the oldest reservation in milliseconds by the gate's clock; 0 if there is none. */
  readonly oldestPendingMillis: number
}

/** Of a gate that is another deployment's nothing else is known. */
export const foreignState: GateState = {
  condition: "Foreign",
  generation: undefined,
  hydrated: false,
  issued: 0,
  pending: 0,
  version: 0,
  oldestPendingMillis: 0
}

/**
 * Whether a hydration may begin: `Granted`; `Hydrated`: no need; `Busy`: another token holds an unexpired lease;
 * `Foreign`: never, the gate is another deployment's.
 */
export type HydrateGrant = "Granted" | "Hydrated" | "Busy" | "Foreign"

/**
 * The admission filter in front of the ledger (docs/internals/protocol.md, "The gate"). It may lose everything at any
 * moment without a wrong coupon. Its issued set only grows, but for erasures, and is always a subset of the ledger.
 * Every operation concerns one campaign and is atomic and idempotent. An invalid reply of the store is
 * `GateUnavailable`.
 *
 * Where the store holds another deployment's gate under this campaign's name, the gate is cold: operations succeed, but
 * read and write nothing. Nothing is lost by that: a gate of this deployment's own would be rebuilt from the ledger.
 */
export class Gate extends Context.Tag("coupon/issuance/Gate")<Gate, {
  /** Answers each request of a micro-batch, in order; a retired gate answers `Reserved` to all, and holds nothing. */
  readonly reserve: (
    campaignId: CampaignId,
    requests: ReadonlyArray<ReserveRequest>
  ) => Effect.Effect<ReadonlyArray<ReserveAnswer>, GateUnavailable>

  /** Gives slots back: deletes each reservation that still has this value, and leaves any other alone. */
  readonly release: (
    campaignId: CampaignId,
    reservations: ReadonlyArray<Reservation>
  ) => Effect.Effect<void, GateUnavailable>

  /**
   * Records coupons that the ledger committed. The users join the issued set, and their reservations end whatever their
   * value. Works on a cold gate. Fails if the event stream has lost `after`: some coupons may have no event then.
   */
  readonly confirm: (
    campaignId: CampaignId,
    coupons: ReadonlyArray<Coupon>,
    after?: EventMark
  ) => Effect.Effect<void, GateUnavailable>

  /**
   * Replaces the users of coupons that the ledger has erased by `erasedUser` in the issued set. From then on neither
   * `confirm` nor `hydrateChunk` adds the former user of one of these coupons, whatever they are given. For each, in
   * order: whether the gate has followed. False: it is hydrated, or is being hydrated, and does not know the coupon.
   */
  readonly erase: (
    campaignId: CampaignId,
    coupons: ReadonlyArray<ErasedHolder>
  ) => Effect.Effect<ReadonlyArray<boolean>, GateUnavailable>

  /**
   * For each user, in order: is a claim rejected for certain because the campaign is sold out? True only if the gate is
   * hydrated, the campaign is open, the issued set reaches the limit and the user is not in it. False: ask `reserve`.
   */
  readonly check: (
    campaignId: CampaignId,
    userIds: ReadonlyArray<UserId>
  ) => Effect.Effect<ReadonlyArray<boolean>, GateUnavailable>

  /** Reservations older than `olderThanMillis` by the gate's clock, at most `limit`. */
  readonly expired: (
    campaignId: CampaignId,
    olderThanMillis: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<Reservation>, GateUnavailable>

  /**
   * Applies terms of a newer version than the gate has, or of the same version with a higher limit (a raise that is
   * announced). Any others change nothing. A cold gate ignores them.
   */
  readonly configure: (terms: CampaignTerms) => Effect.Effect<void, GateUnavailable>

  /**
   * Asks to rebuild the gate under `token` (unique, at most 64 characters of [0-9a-z-]), which becomes the generation.
   * The lease lasts `leaseMillis` and every chunk renews it. Unless `Busy`, the terms are applied as by `configure`. On
   * `Granted` the cursor is 0.
   */
  readonly hydrateBegin: (
    terms: CampaignTerms,
    token: string,
    leaseMillis: number
  ) => Effect.Effect<HydrateGrant, GateUnavailable>

  /**
   * Adds a page of the ledger's coupons (ascending ids, all greater than `fromCursor`) to the live set and moves the
   * cursor to the last one's id. False, and no effect, unless generation and cursor are still `token` and `fromCursor`,
   * and the event stream has `after`: the gate, or its last writes, were lost meanwhile.
   */
  readonly hydrateChunk: (
    campaignId: CampaignId,
    token: string,
    fromCursor: number,
    coupons: ReadonlyArray<Coupon>,
    after?: EventMark
  ) => Effect.Effect<boolean, GateUnavailable>

  /**
   * Those of the coupons whose users are not in the issued set, and the event stream's newest mark at that moment: as
   * long as that is there, no other user has left the set. `undefined`: the stream is empty, or the gate knows of none.
   */
  readonly absent: (campaignId: CampaignId, coupons: ReadonlyArray<Coupon>) => Effect.Effect<
    { readonly coupons: ReadonlyArray<Coupon>; readonly mark: EventMark | undefined },
    GateUnavailable
  >

  /** Declares the gate complete. False, and no effect, unless generation and cursor still match. */
  readonly hydrateEnd: (
    campaignId: CampaignId,
    token: string,
    cursor: number
  ) => Effect.Effect<boolean, GateUnavailable>

  /** Closes this generation for rebuild; false if the gate has moved on to another one. */
  readonly cold: (campaignId: CampaignId, generation: string) => Effect.Effect<boolean, GateUnavailable>

  /** Forgets the campaign altogether, as a flush would: for a gate that claims more than the ledger has. */
  readonly forget: (campaignId: CampaignId) => Effect.Effect<void, GateUnavailable>

  /**
   * Deletes all that the gate holds of a campaign that is over, except for its terms. From now on `reserve` lets every
   * claim through to the ledger, until newer terms make the gate cold. No effect if the gate has newer terms.
   */
  readonly retire: (terms: CampaignTerms) => Effect.Effect<void, GateUnavailable>

  readonly inspect: (campaignId: CampaignId) => Effect.Effect<GateState, GateUnavailable>

  /** Emits whenever the gate may have lost memory (a connection came back): time to reconcile. */
  readonly suspicions: Stream.Stream<void>
}>() {}
