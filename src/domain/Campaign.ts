import * as Either from "effect/Either"
import type { CampaignPhase } from "./Phase.ts"
import type { CampaignId } from "./CampaignId.ts"
import * as DisplayName from "./DisplayName.ts"
import type { EpochMillis } from "./Time.ts"
import { parseRfc3339 } from "./Time.ts"
import { CampaignEnded, CodesExhausted, InvalidArgument } from "./Failure.ts"
import { type CampaignCodes, type CodesInput, defaultCodes, parseCodes, sameCodes } from "./codes/CampaignCodes.ts"
import { flawOfSpace } from "./codes/CodeFormat.ts"
import {
  type CouponValidity, endsEarlier, hasPassed, parseValidity, sameValidity, untilBeforeEnd, untilHasPassed,
  type ValidityInput
} from "./validity/CouponValidity.ts"
import * as RequestId from "./requests/RequestId.ts"
import { DEFAULT_UNDO_WINDOW_MILLIS, parseUndoWindow } from "./validity/UndoWindow.ts"

export * from "./CampaignId.ts"

/** `ACTIVE` issues inside the window, `PAUSED` and `ENDED` issue nothing. */
export type CampaignStatus = "ACTIVE" | "PAUSED" | "ENDED"

/** The settings that admission depends on. `version` grows by one with every change of a campaign. */
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
   * The limit up to which the gate admits: `couponLimit`, or the new one while a raise is under way. The gate has it
   * before the ledger raises the limit, so it never reports sold out by an old limit (`campaigns/CampaignChanges.ts`).
   */
  readonly announcedLimit: number
  /** Coupons issued so far: always the number of coupon rows (invariant I2). */
  readonly issuedCount: number
  /** Slots that revocations have returned. Each has raised `couponLimit` by one, too. */
  readonly returned: number
  /** Where its codes come from. Fixed once a coupon is issued. */
  readonly codes: CampaignCodes
  /** How many codes its pool has: those of all imports that were finished. */
  readonly codeCount: number
  /** How long coupons that are issued from now on are valid; `undefined`: they do not expire. */
  readonly validity: CouponValidity | undefined
  /** How long after a redemption it can be undone. */
  readonly undoWindowMillis: number
  readonly createdAt: EpochMillis
  readonly updatedAt: EpochMillis
  /** The phase at the time of reading, by the ledger's clock. */
  readonly phase: CampaignPhase
  /** See `openedAt` and `soldOutAt` of `CampaignPhase`. */
  readonly openedAt: EpochMillis | undefined
  readonly soldOutAt: EpochMillis | undefined
  /** The ledger's clock when all of this was read. */
  readonly readAt: EpochMillis
}

/** The fields of a new campaign, validated by `parseDraft`. */
export interface CampaignDraft {
  readonly name: string
  readonly couponLimit: number
  readonly startTime: EpochMillis
  readonly endTime: EpochMillis | undefined
  readonly codes: CampaignCodes
  readonly validity: CouponValidity | undefined
  readonly undoWindowMillis: number
}

/** A call that opens a campaign, validated by `parseOrder`. */
export interface CampaignOrder {
  readonly draft: CampaignDraft
  /** The caller's name for this call: repeated, it opens no second campaign. `undefined`: it has none. */
  readonly requestId: string | undefined
  /** Why no campaign is opened any more. One that the same call has opened in time is still its answer. */
  readonly tooLate: InvalidArgument | undefined
}

/** The settings of a campaign that operators change; `returned` by revocations alone. */
export type CampaignSettings = Pick<
  Campaign,
  "name" | "couponLimit" | "returned" | "status" | "startTime" | "endTime" | "codes" | "validity" | "undoWindowMillis"
>

/** New values for some settings; absent ones stay. A present `undefined` removes the end, or the validity. */
export type CampaignPatch = Partial<Omit<CampaignSettings, "status" | "returned">>

/** The fields of an update, validated by `parsePatch`. */
export interface CampaignUpdate {
  readonly patch: CampaignPatch
  /** Without it, a new end that has passed already is rejected. */
  readonly allowPastEnd: boolean
}

/** The version of the campaign that a change is meant for; `undefined`: any. */
export type ExpectedVersion = number | undefined

export const MAX_NAME_LENGTH = 100
export const MAX_COUPON_LIMIT = 10_000_000

const reject = (field: string, reason: string) => Either.left(new InvalidArgument({ field, reason }))

/** Length is counted in Unicode code points: a syllable of 여름 counts one. */
const parseName = (name: string): Either.Either<string, InvalidArgument> => {
  if (Array.from(name).length > MAX_NAME_LENGTH) return reject("name", `must be at most ${MAX_NAME_LENGTH} characters`)
  const flaw = DisplayName.flawOf(name)
  return flaw === undefined ? Either.right(name) : reject("name", flaw)
}

const parseLimit = (limit: bigint): Either.Either<number, InvalidArgument> =>
  limit < 1n || limit > BigInt(MAX_COUPON_LIMIT)
    ? reject("couponLimit", `must be 1 to ${MAX_COUPON_LIMIT}`)
    : Either.right(Number(limit))

const parseEnd = (endTime: string): Either.Either<EpochMillis | undefined, InvalidArgument> =>
  endTime === "" ? Either.right(undefined) : parseRfc3339("endTime", endTime)

const parseWindow = <A extends { readonly startTime: EpochMillis; readonly endTime: EpochMillis | undefined }>(
  of: A
): Either.Either<A, InvalidArgument> =>
  of.endTime !== undefined && of.endTime <= of.startTime
    ? reject("endTime", "must be later than startTime")
    : Either.right(of)

/** A coupon must not have expired when it is issued, as far as the campaign's end says when that is. */
const parseExpiry = <A extends Pick<CampaignSettings, "validity" | "endTime">>(
  of: A
): Either.Either<A, InvalidArgument> =>
  endsEarlier(of.validity, of.endTime) ? Either.left(untilBeforeEnd) : Either.right(of)

/** Coupons that do not expire, and the usual window. */
export const afterIssueDefaults: Pick<CampaignSettings, "validity" | "undoWindowMillis"> = {
  validity: undefined,
  undoWindowMillis: DEFAULT_UNDO_WINDOW_MILLIS
}

/** The settings of coupons after their issue, as a client sends them; `undefined`: absent. */
export interface AfterIssueInput {
  readonly couponValidity?: ValidityInput | undefined
  readonly undoWindow?: string | undefined
}

/** Drawn codes need a format with codes enough. What a pool has is not known before it is imported. */
const parseSpace = <A extends { readonly couponLimit: number; readonly codes: CampaignCodes }>(
  of: A
): Either.Either<A, InvalidArgument> => {
  const flaw = of.codes._tag === "Generated" ? flawOfSpace(of.codes.format, of.couponLimit) : undefined
  return flaw === undefined ? Either.right(of) : Either.left(flaw)
}

/** An end in the past is mostly a typing error: the campaign would be over, and every claim would be rejected. */
const isOver = (endTime: EpochMillis | undefined, now: EpochMillis): boolean => endTime !== undefined && endTime <= now

const endHasPassed = new InvalidArgument({
  field: "endTime",
  reason: "has passed already: the campaign would be over; set allowPastEnd if that is meant"
})

/**
 * Validates the fields of a new campaign as a client sent them. Fails with the first field that breaks its rule. An end
 * before `now` is rejected unless `allowPastEnd` is set.
 */
export const parseOrder = (input: {
  readonly name: string
  readonly couponLimit: bigint
  readonly startTime: string
  readonly endTime: string
  readonly allowPastEnd: boolean
  readonly requestId: string
} & CodesInput & AfterIssueInput, now: EpochMillis): Either.Either<CampaignOrder, InvalidArgument> =>
  Either.gen(function*() {
    const name = yield* parseName(input.name)
    const couponLimit = yield* parseLimit(input.couponLimit)
    const startTime = yield* parseRfc3339("startTime", input.startTime)
    const codes = (yield* parseCodes(input)) ?? defaultCodes
    yield* parseSpace({ couponLimit, codes })
    const window = yield* parseWindow({ startTime, endTime: yield* parseEnd(input.endTime) })
    const validity = input.couponValidity === undefined ? undefined : yield* parseValidity(input.couponValidity)
    const undoWindowMillis = yield* parseUndoWindow(input.undoWindow ?? "")
    const draft = yield* parseExpiry({ name, couponLimit, ...window, codes, validity, undoWindowMillis })
    const requestId = input.requestId === "" ? undefined : yield* RequestId.parse(input.requestId)
    const tooLate = !input.allowPastEnd && isOver(draft.endTime, now)
      ? endHasPassed
      : hasPassed(validity, now)
      ? untilHasPassed
      : undefined
    return tooLate !== undefined && requestId === undefined
      ? yield* Either.left(tooLate)
      : { draft, requestId, tooLate }
  })

/**
 * Validates the fields of an update as a client sent them. An absent field is `undefined`; an empty `endTime` means no
 * end. An update that sets nothing is rejected, because a misspelt field looks like that.
 */
export const parsePatch = (input: {
  readonly name?: string | undefined
  readonly couponLimit?: bigint | undefined
  readonly startTime?: string | undefined
  readonly endTime?: string | undefined
  readonly allowPastEnd: boolean
} & CodesInput & AfterIssueInput): Either.Either<CampaignUpdate, InvalidArgument> =>
  Either.gen(function*() {
    if (input.codeSource === "GENERATED" && input.codeFormat === undefined) {
      return yield* reject("codeFormat", "must be there with codeSource GENERATED")
    }
    const codes = yield* parseCodes(input)
    const patch = {
      ...(input.name === undefined ? {} : { name: yield* parseName(input.name) }),
      ...(input.couponLimit === undefined ? {} : { couponLimit: yield* parseLimit(input.couponLimit) }),
      ...(input.startTime === undefined ? {} : { startTime: yield* parseRfc3339("startTime", input.startTime) }),
      ...(input.endTime === undefined ? {} : { endTime: yield* parseEnd(input.endTime) }),
      ...(codes === undefined ? {} : { codes }),
      ...(input.couponValidity === undefined ? {} : { validity: yield* parseValidity(input.couponValidity) }),
      ...(input.undoWindow === undefined ? {} : { undoWindowMillis: yield* parseUndoWindow(input.undoWindow) })
    }
    if (Object.keys(patch).length === 0) {
      return yield* reject(
        "body",
        "must set one of name, couponLimit, startTime, endTime, codeFormat, codeSource, couponValidity and undoWindow"
      )
    }
    return { patch, allowPastEnd: input.allowPastEnd }
  })

/** 0, the value of an absent field in proto, means any version. */
export const parseExpectedVersion = (value: bigint): Either.Either<ExpectedVersion, InvalidArgument> =>
  value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)
    ? reject("expectedVersion", "must be a version, or 0 for any")
    : Either.right(value === 0n ? undefined : Number(value))

/** The settings of a campaign as it is. */
export const settingsOf = (campaign: Campaign): CampaignSettings => {
  const { codes, couponLimit, endTime, name, returned, startTime, status, undoWindowMillis, validity } = campaign
  return { name, couponLimit, returned, status, startTime, endTime, codes, validity, undoWindowMillis }
}

/**
 * Each kind of change takes a campaign and returns its new settings. They equal the old ones if the change is already
 * in place, so every change may be repeated. An ended campaign does not change any more.
 */
export const patched = ({ allowPastEnd, patch }: CampaignUpdate, now: EpochMillis) =>
(campaign: Campaign): Either.Either<CampaignSettings, InvalidArgument | CampaignEnded> => {
  if (campaign.status === "ENDED") return Either.left(new CampaignEnded())
  // The end that the campaign already has is accepted, so that a repeated call gets the same answer.
  const isNewEnd = patch.endTime !== campaign.endTime
  if (!allowPastEnd && isNewEnd && isOver(patch.endTime, now)) return Either.left(endHasPassed)
  const isNewValidity = !sameValidity(patch.validity, campaign.validity)
  if (isNewValidity && hasPassed(patch.validity, now)) return Either.left(untilHasPassed)
  return Either.flatMap(parseWindow({ ...settingsOf(campaign), ...patch }), (settings) =>
    endsEarlier(settings.validity, settings.endTime)
      ? Either.left("validity" in patch ? untilBeforeEnd : endAfterUntil)
      : settings.couponLimit < campaign.issuedCount
      ? Either.left(belowIssued(campaign.issuedCount))
      : withCodesEnough(campaign, settings))
}

const endAfterUntil = new InvalidArgument({
  field: "endTime",
  reason: "must not be later than couponValidity.until"
})

/** Rules that only a change of the codes or a higher limit can break. */
const withCodesEnough = (
  campaign: Campaign,
  settings: CampaignSettings
): Either.Either<CampaignSettings, InvalidArgument> => {
  const { codeCount, codes, couponLimit, issuedCount } = campaign
  const others = !sameCodes(codes, settings.codes)
  if (others && issuedCount > 0) {
    return reject(
      settings.codes._tag === codes._tag ? "codeFormat" : "codeSource",
      `is fixed: ${issuedCount} coupons are issued`
    )
  }
  const raised = settings.couponLimit > couponLimit
  if (settings.codes._tag === "Generated") {
    return others || raised ? parseSpace(settings) : Either.right(settings)
  }
  return raised && settings.couponLimit > codeCount
    ? reject("couponLimit", `must not be above the ${codeCount} codes of the pool: import more first`)
    : Either.right(settings)
}

const withStatus = (
  campaign: Campaign,
  status: CampaignStatus
): Either.Either<CampaignSettings, CampaignEnded> =>
  campaign.status === "ENDED" ? Either.left(new CampaignEnded()) : Either.right({ ...settingsOf(campaign), status })

export const paused = (campaign: Campaign) => withStatus(campaign, "PAUSED")

export const resumed = (campaign: Campaign) => withStatus(campaign, "ACTIVE")

export const ended = (campaign: Campaign): Either.Either<CampaignSettings> =>
  Either.right({ ...settingsOf(campaign), status: "ENDED" })

/** A limit may be lowered to the number of issued coupons, but not below. */
export const belowIssued = (issued: number): InvalidArgument =>
  new InvalidArgument({ field: "couponLimit", reason: `must not be below the ${issued} coupons that are issued` })

/** Why a slot cannot be returned, if so: no other user could get a coupon by it. */
export const slotReturned = (
  campaign: Campaign
): Either.Either<CampaignSettings, InvalidArgument | CampaignEnded | CodesExhausted> => {
  const { codeCount, codes, couponLimit, returned, status } = campaign
  if (status === "ENDED") return Either.left(new CampaignEnded())
  if (couponLimit === MAX_COUPON_LIMIT) return reject("returnSlot", `would raise the limit above ${MAX_COUPON_LIMIT}`)
  if (codes._tag === "Pool" && couponLimit >= codeCount) return Either.left(new CodesExhausted())
  return Either.right({ ...settingsOf(campaign), couponLimit: couponLimit + 1, returned: returned + 1 })
}

export const sameSettings = (a: CampaignSettings, b: CampaignSettings): boolean =>
  a.name === b.name && a.couponLimit === b.couponLimit && a.status === b.status &&
  a.startTime === b.startTime && a.endTime === b.endTime && sameCodes(a.codes, b.codes) &&
  sameValidity(a.validity, b.validity) && a.undoWindowMillis === b.undoWindowMillis

/** The terms for the gate. During a raise they have the new limit: the gate's must never be below the ledger's. */
export const gateTerms = (campaign: Campaign): CampaignTerms => ({ ...campaign, couponLimit: campaign.announcedLimit })
