import * as Either from "effect/Either"
import type { CampaignPhase } from "./Phase.ts"
import type { CampaignId } from "./CampaignId.ts"
import * as DisplayName from "./DisplayName.ts"
import type { EpochMillis } from "./Time.ts"
import { parseRfc3339 } from "./Time.ts"
import { CampaignEnded, InvalidArgument } from "./Failure.ts"

export * from "./CampaignId.ts"

/** `ACTIVE` issues inside the window, `PAUSED` and `ENDED` issue nothing. */
export type CampaignStatus = "ACTIVE" | "PAUSED" | "ENDED"

/** The settings of a campaign that admission depends on; `version` grows by one with every change of them. */
export interface CampaignTerms {
  readonly campaignId: CampaignId
  /** How many coupons there are, 1 to 10,000,000. */
  readonly couponLimit: number
  readonly status: CampaignStatus
  readonly startTime: EpochMillis
  /** `undefined`: the campaign has no end. */
  readonly endTime: EpochMillis | undefined
  readonly version: number
}

/** A campaign as the ledger knows it. */
export interface Campaign extends CampaignTerms {
  readonly name: string
  /**
   * The limit that the gate is to admit up to: `couponLimit`, or more while a raise is under way. A gate that learns of a raise
   * before the ledger makes it never takes an old limit for the end of the coupons (`issuance/CampaignChanges`).
   */
  readonly announcedLimit: number
  /** Coupons issued so far: always the number of coupon rows (invariant I2). */
  readonly issuedCount: number
  readonly createdAt: EpochMillis
  readonly updatedAt: EpochMillis
  /** What it was when it was read, by the ledger's clock. */
  readonly phase: CampaignPhase
  /** See `openedAt` and `soldOutAt` of `CampaignPhase`. */
  readonly openedAt: EpochMillis | undefined
  readonly soldOutAt: EpochMillis | undefined
}

/** What it takes to open a campaign, already validated by `parseDraft`. */
export interface CampaignDraft {
  readonly name: string
  readonly couponLimit: number
  readonly startTime: EpochMillis
  readonly endTime: EpochMillis | undefined
}

/** The settings of a campaign that an operator may change. */
export type CampaignSettings = Pick<Campaign, "name" | "couponLimit" | "status" | "startTime" | "endTime">

/** New values for some settings; those that are absent stay. `endTime: undefined` that is present takes the end away. */
export type CampaignPatch = Partial<Omit<CampaignSettings, "status">>

/** What a client asked an update for, validated by `parsePatch`. */
export interface CampaignUpdate {
  readonly patch: CampaignPatch
  /** Without it a new end that has passed already is refused. */
  readonly allowPastEnd: boolean
}

/** Which version of the campaign a change is meant for; `undefined`: whichever there is. */
export type ExpectedVersion = number | undefined

export const MAX_NAME_LENGTH = 100
export const MAX_COUPON_LIMIT = 10_000_000
export const refuse = (field: string, reason: string) => Either.left(new InvalidArgument({ field, reason }))

/** Length is counted in Unicode code points, so that a syllable of 여름 counts one. */
const parseName = (name: string): Either.Either<string, InvalidArgument> => {
  if (Array.from(name).length > MAX_NAME_LENGTH) return refuse("name", `must be at most ${MAX_NAME_LENGTH} characters`)
  const flaw = DisplayName.flawOf(name)
  return flaw === undefined ? Either.right(name) : refuse("name", flaw)
}

const parseLimit = (limit: bigint): Either.Either<number, InvalidArgument> =>
  limit < 1n || limit > BigInt(MAX_COUPON_LIMIT) ? refuse("couponLimit", `must be 1 to ${MAX_COUPON_LIMIT}`) : Either.right(Number(limit))

const parseEnd = (endTime: string): Either.Either<EpochMillis | undefined, InvalidArgument> =>
  endTime === "" ? Either.right(undefined) : parseRfc3339("endTime", endTime)

const parseWindow = <A extends { readonly startTime: EpochMillis; readonly endTime: EpochMillis | undefined }>(
  of: A
): Either.Either<A, InvalidArgument> =>
  of.endTime !== undefined && of.endTime <= of.startTime ? refuse("endTime", "must be later than startTime") : Either.right(of)

/** An end in the past is mostly a typing error: the campaign would be over, and its every claim refused. */
const isOver = (endTime: EpochMillis | undefined, now: EpochMillis): boolean => endTime !== undefined && endTime <= now

const refuseOver = refuse("endTime", "has passed already: the campaign would be over; set allowPastEnd if that is meant")

/**
 * Validates the fields of a new campaign as a client sent them; the first field that breaks its rule is named. `now`: an end
 * that has passed by then is refused, unless `allowPastEnd`.
 */
export const parseDraft = (input: {
  readonly name: string
  readonly couponLimit: bigint
  readonly startTime: string
  readonly endTime: string
  readonly allowPastEnd: boolean
}, now: EpochMillis): Either.Either<CampaignDraft, InvalidArgument> =>
  Either.gen(function*() {
    const name = yield* parseName(input.name)
    const couponLimit = yield* parseLimit(input.couponLimit)
    const startTime = yield* parseRfc3339("startTime", input.startTime)
    const draft = yield* parseWindow({ name, couponLimit, startTime, endTime: yield* parseEnd(input.endTime) })
    return !input.allowPastEnd && isOver(draft.endTime, now) ? yield* refuseOver : draft
  })

/**
 * Validates the fields of an update as a client sent them; an absent one is `undefined`, and an empty `endTime` means no end. One
 * that sets nothing is refused: it would be answered with success and change nothing, as a field with a typing error does.
 */
export const parsePatch = (input: {
  readonly name?: string | undefined
  readonly couponLimit?: bigint | undefined
  readonly startTime?: string | undefined
  readonly endTime?: string | undefined
  readonly allowPastEnd: boolean
}): Either.Either<CampaignUpdate, InvalidArgument> =>
  Either.gen(function*() {
    const patch = {
      ...(input.name === undefined ? {} : { name: yield* parseName(input.name) }),
      ...(input.couponLimit === undefined ? {} : { couponLimit: yield* parseLimit(input.couponLimit) }),
      ...(input.startTime === undefined ? {} : { startTime: yield* parseRfc3339("startTime", input.startTime) }),
      ...(input.endTime === undefined ? {} : { endTime: yield* parseEnd(input.endTime) })
    }
    if (Object.keys(patch).length === 0) return yield* refuse("body", "must set one of name, couponLimit, startTime and endTime")
    return { patch, allowPastEnd: input.allowPastEnd }
  })

/** 0, as proto has it for an absent field, expects nothing. */
export const parseExpectedVersion = (value: bigint): Either.Either<ExpectedVersion, InvalidArgument> =>
  value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)
    ? refuse("expectedVersion", "must be a version, or 0 for any")
    : Either.right(value === 0n ? undefined : Number(value))

const settingsOf = ({ couponLimit, endTime, name, startTime, status }: Campaign): CampaignSettings =>
  ({ name, couponLimit, status, startTime, endTime })

/**
 * What a change makes of a campaign. Each takes the settings as they are and returns the new ones, which are the same where
 * there is nothing to do, so that every change may be asked for twice. Ended is ended: such a campaign changes no more.
 */
export const patched = ({ allowPastEnd, patch }: CampaignUpdate, now: EpochMillis) =>
(campaign: Campaign): Either.Either<CampaignSettings, InvalidArgument | CampaignEnded> => {
  if (campaign.status === "ENDED") return Either.left(new CampaignEnded())
  // The end that it has already may be set again: a repeated call is answered as the first one was.
  if (!allowPastEnd && patch.endTime !== campaign.endTime && isOver(patch.endTime, now)) return refuseOver
  return Either.flatMap(parseWindow({ ...settingsOf(campaign), ...patch }), (settings) =>
    settings.couponLimit < campaign.issuedCount ? Either.left(belowIssued(campaign.issuedCount)) : Either.right(settings))
}

export const paused = (campaign: Campaign): Either.Either<CampaignSettings, CampaignEnded> =>
  campaign.status === "ENDED" ? Either.left(new CampaignEnded()) : Either.right({ ...settingsOf(campaign), status: "PAUSED" })

export const resumed = (campaign: Campaign): Either.Either<CampaignSettings, CampaignEnded> =>
  campaign.status === "ENDED" ? Either.left(new CampaignEnded()) : Either.right({ ...settingsOf(campaign), status: "ACTIVE" })

export const ended = (campaign: Campaign): Either.Either<CampaignSettings> => Either.right({ ...settingsOf(campaign), status: "ENDED" })

/** A limit may go down to what is issued, but not below. */
export const belowIssued = (issued: number): InvalidArgument =>
  new InvalidArgument({ field: "couponLimit", reason: `must not be below the ${issued} coupons that are issued` })

export const sameSettings = (a: CampaignSettings, b: CampaignSettings): boolean =>
  a.name === b.name && a.couponLimit === b.couponLimit && a.status === b.status && a.startTime === b.startTime && a.endTime === b.endTime

/** What the gate is to go by: while a limit is being raised, the new one, since it must never lag behind the ledger's. */
export const gateTerms = (campaign: Campaign): CampaignTerms => ({ ...campaign, couponLimit: campaign.announcedLimit })
