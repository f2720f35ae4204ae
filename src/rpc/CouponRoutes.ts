import { create, toJsonString } from "@bufbuild/protobuf"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Actor from "../domain/Actor.ts"
import type { Campaign, CampaignStatus as DomainStatus } from "../domain/Campaign.ts"
import { parseCampaignId, parseOrder, parseExpectedVersion, parsePatch } from "../domain/Campaign.ts"
import { type CampaignPhase as DomainPhase, campaignPhases } from "../domain/CampaignPhase.ts"
import type { Coupon } from "../domain/Coupon.ts"
import { parseUserId } from "../domain/Coupon.ts"
import { InvalidArgument } from "../domain/Failure.ts"
import type { IssuedCoupon } from "../domain/redemption/Redemption.ts"
import { formatOptional, formatRfc3339 } from "../domain/Time.ts"
import { codeRoutes } from "./codes/CodeRoutes.ts"
import { codesFromWire, codesToWire } from "./codes/CodesOnWire.ts"
import { afterIssueToWire } from "./codes/ValidityOnWire.ts"
import type { ChangeRequest } from "../campaigns/CampaignChanges.ts"
import { type CampaignPage, MAX_ANONYMOUS_PAGE_SIZE } from "../campaigns/Campaigns.ts"
import type { ClaimRequest } from "../claim/IssueCoupon.ts"
import {
  CampaignPhase,
  CampaignSchema,
  CampaignStatus,
  CouponService,
  CreateCampaignResponseSchema,
  EndCampaignResponseSchema,
  GetCampaignResponseSchema,
  GetCouponResponseSchema,
  IssueCouponResponseSchema,
  ListCampaignsResponseSchema,
  PauseCampaignResponseSchema,
  ResumeCampaignResponseSchema,
  UpdateCampaignResponseSchema
} from "../contract/gen/coupon/v1/coupon_pb.ts"
import { findCoupon, listCoupons } from "./coupons/CouponListRoutes.ts"
import { listEvents } from "./events/EventRoutes.ts"
import { expiryText, issuedText } from "./coupons/CouponMessages.ts"
import * as CouponDetail from "../contract/CouponDetail.ts"
import { redemptionRoutes } from "./redemptions/RedemptionRoutes.ts"
import type { Route } from "./Route.ts"
import * as Routes from "./Route.ts"

const statuses = {
  ACTIVE: CampaignStatus.ACTIVE,
  PAUSED: CampaignStatus.PAUSED,
  ENDED: CampaignStatus.ENDED
} satisfies Record<DomainStatus, CampaignStatus>

const fromWire = new Map<CampaignStatus, DomainStatus>([
  [CampaignStatus.ACTIVE, "ACTIVE"],
  [CampaignStatus.PAUSED, "PAUSED"],
  [CampaignStatus.ENDED, "ENDED"]
])

const phasesOnWire = {
  SCHEDULED: CampaignPhase.SCHEDULED,
  OPEN: CampaignPhase.OPEN,
  SOLD_OUT: CampaignPhase.SOLD_OUT,
  PAUSED: CampaignPhase.PAUSED,
  ENDED: CampaignPhase.ENDED
} satisfies Record<DomainPhase, CampaignPhase>

const phasesFromWire = new Map<CampaignPhase, DomainPhase>(campaignPhases.map((phase) => [phasesOnWire[phase], phase]))

/** A campaign as the API shows it, apart from its coupons. */
const fields = (campaign: Campaign) => ({
  id: campaign.campaignId,
  name: campaign.name,
  couponLimit: BigInt(campaign.couponLimit),
  currentCoupon: BigInt(campaign.issuedCount),
  startTime: formatRfc3339(campaign.startTime),
  createdAt: formatRfc3339(campaign.createdAt),
  updatedAt: formatRfc3339(campaign.updatedAt),
  status: statuses[campaign.status],
  endTime: formatOptional(campaign.endTime),
  version: BigInt(campaign.version),
  phase: phasesOnWire[campaign.phase],
  openedAt: formatOptional(campaign.openedAt),
  soldOutAt: formatOptional(campaign.soldOutAt),
  ...codesToWire(campaign.codes),
  codeCount: BigInt(campaign.codeCount),
  ...afterIssueToWire(campaign),
  returned: BigInt(campaign.returned)
})

export const campaignOf = (campaign: Campaign) => create(CampaignSchema, fields(campaign))

const createCampaign = Routes.make({
  method: CouponService.method.createCampaign,
  bound: "write",
  access: "OPERATOR",
  touches: "all",
  call: (useCases, input, { principal, source }) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.flatMap(
        Either.flatMap(codesFromWire(input), (codes) => parseOrder({ ...input, ...codes }, now)),
        (order) => useCases.campaigns.create(order, Actor.of(principal, source))
      )),
  respond: (campaign) => create(CreateCampaignResponseSchema, { campaignId: campaign.campaignId })
})

const anonymousPageSize = (pageSize: number): number =>
  pageSize === 0 ? MAX_ANONYMOUS_PAGE_SIZE : Math.min(pageSize, MAX_ANONYMOUS_PAGE_SIZE)

/** What a code takes in an answer, in bytes, if it is like the first of its page. */
const bytesOf = (coupon: Coupon | undefined): number => coupon === undefined ? 0 : 2 + 3 * coupon.code.length

/** Stands for the codes of a page, whose text is kept: quotes within other fields are escaped. */
const PLACE = "codes"
const PLACED = JSON.stringify([PLACE])

/** The text of a page's codes. Pages that are a whole block are the same array each time. */
const codesTexts = new WeakMap<ReadonlyArray<Coupon>, string>()

const codesText = (coupons: ReadonlyArray<Coupon>): string => {
  let text = codesTexts.get(coupons)
  if (text === undefined) codesTexts.set(coupons, text = JSON.stringify(coupons.map(({ code }) => code)))
  return text
}

const pageOf = ({ campaign, coupons, nextPageToken }: CampaignPage, codes: Array<string>) =>
  create(GetCampaignResponseSchema, {
    ...fields(campaign),
    issuedCoupons: codes,
    issuedCouponsTruncated: nextPageToken !== undefined,
    issuedCouponsWithheld: coupons === undefined,
    nextPageToken: nextPageToken ?? "",
    serverTime: formatRfc3339(campaign.readAt),
    remaining: BigInt(Math.max(0, campaign.couponLimit - campaign.issuedCount))
  })

const getCampaign = Routes.make({
  method: CouponService.method.getCampaign,
  bound: "read",
  access: "ANYONE",
  call: ({ campaigns, guard }, { campaignId, pageSize, pageToken }, { principal }) =>
    Effect.flatMap(parseCampaignId(campaignId), (id) =>
      pageSize < 0
        ? Effect.fail(new InvalidArgument({ field: "pageSize", reason: "must not be negative" }))
        : guard.mayListCodes(principal)
        ? campaigns.get(id, principal.role === "NONE" ? anonymousPageSize(pageSize) : pageSize, pageToken)
        : campaigns.getWithoutCodes(id)),
  respond: (page: CampaignPage) => pageOf(page, page.coupons?.map(({ code }) => code) ?? []),
  writeJson: (page) => {
    const { coupons } = page
    if (coupons === undefined || coupons.length === 0) {
      return toJsonString(GetCampaignResponseSchema, pageOf(page, []), Routes.jsonOptions)
    }
    const text = toJsonString(GetCampaignResponseSchema, pageOf(page, [PLACE]), Routes.jsonOptions)
    return text.replace(PLACED, () => codesText(coupons))
  },
  paced: true,
  sizeOf: ({ coupons }) => (coupons?.length ?? 0) * bytesOf(coupons?.[0])
})

const getCoupon = Routes.make({
  method: CouponService.method.getCoupon,
  bound: "read",
  access: "READ_SELF",
  call: (useCases, input) =>
    Effect.flatMap(parseCampaignId(input.campaignId), (campaignId) =>
      Effect.flatMap(parseUserId(input.userId), (userId) =>
        Effect.flatMap(useCases.campaigns.getCoupon(campaignId, userId), useCases.redemptions.known))),
  respond: (coupon) =>
    create(GetCouponResponseSchema, { coupon: CouponDetail.fields(coupon) })
})

/** The campaign that a change is for, the version it expects, and who asks for it. */
const requestOf = (
  input: { readonly campaignId: number; readonly expectedVersion: bigint },
  { principal, source }: Routes.CallContext
): Either.Either<ChangeRequest, InvalidArgument> =>
  Either.map(
    Either.all([parseCampaignId(input.campaignId), parseExpectedVersion(input.expectedVersion)]),
    ([campaignId, expected]) => ({ campaignId, expected, actor: Actor.of(principal, source) })
  )

const updateCampaign = Routes.make({
  method: CouponService.method.updateCampaign,
  bound: "write",
  access: "OPERATOR",
  call: (useCases, input, context) =>
    Effect.flatMap(requestOf(input, context), (request) =>
      Effect.flatMap(Either.flatMap(codesFromWire(input), (codes) => parsePatch({ ...input, ...codes })), (update) =>
        useCases.campaigns.update(request, update))),
  respond: (campaign) => create(UpdateCampaignResponseSchema, { campaign: campaignOf(campaign) })
})

const pauseCampaign = Routes.make({
  method: CouponService.method.pauseCampaign,
  bound: "write",
  access: "OPERATOR",
  call: (useCases, input, context) => Effect.flatMap(requestOf(input, context), useCases.campaigns.pause),
  respond: (campaign) => create(PauseCampaignResponseSchema, { campaign: campaignOf(campaign) })
})

const resumeCampaign = Routes.make({
  method: CouponService.method.resumeCampaign,
  bound: "write",
  access: "OPERATOR",
  call: (useCases, input, context) => Effect.flatMap(requestOf(input, context), useCases.campaigns.resume),
  respond: (campaign) => create(ResumeCampaignResponseSchema, { campaign: campaignOf(campaign) })
})

const endCampaign = Routes.make({
  method: CouponService.method.endCampaign,
  bound: "write",
  access: "OPERATOR",
  call: (useCases, input, context) => Effect.flatMap(requestOf(input, context), useCases.campaigns.end),
  respond: (campaign) => create(EndCampaignResponseSchema, { campaign: campaignOf(campaign) })
})

const listCampaigns = Routes.make({
  method: CouponService.method.listCampaigns,
  bound: "read",
  access: "VIEWER",
  touches: "own",
  call: (useCases, { namePrefix, pageSize, pageToken, phases, status }, { principal }) => {
    const wanted = fromWire.get(status)
    if (wanted === undefined && status !== CampaignStatus.UNSPECIFIED) {
      return Effect.fail(new InvalidArgument({ field: "status", reason: "must be one that campaigns have" }))
    }
    const some = phases.map((phase) => phasesFromWire.get(phase))
    return some.every((phase) => phase !== undefined)
      ? useCases.campaigns.list(
        { status: wanted, phases: some, namePrefix, only: principal.campaigns },
        pageSize,
        pageToken
      )
      : Effect.fail(new InvalidArgument({ field: "phases", reason: "must be some that campaigns have" }))
  },
  respond: ({ campaigns, nextPageToken }) =>
    create(ListCampaignsResponseSchema, {
      campaigns: campaigns.map((campaign) => campaignOf(campaign)),
      nextPageToken: nextPageToken ?? ""
    })
})

/**
 * The request as nearly every client writes it: both fields once, in order, as plain digits that a number holds exactly
 * (a user id as a string may be longer). Anything else, right or wrong, is left to the general reader.
 */
const PLAIN_ISSUE =
  /^\s*\{\s*"campaignId"\s*:\s*(0|[1-9]\d{0,8})\s*,\s*"userId"\s*:\s*(?:(0|[1-9]\d{0,14})|"(0|[1-9]\d{0,17})")\s*\}\s*$/

/** Nothing that JSON would escape, as most codes are: the general writer costs a microsecond. */
const PLAIN_CODE = /^[\w가-힣-]*$/

const parseClaim = (
  input: { readonly campaignId: number; readonly userId: bigint },
  timeoutMillis: number | undefined
): Either.Either<ClaimRequest, InvalidArgument> => {
  const campaignId = parseCampaignId(input.campaignId)
  if (Either.isLeft(campaignId)) return Either.left(campaignId.left)
  const userId = parseUserId(input.userId)
  if (Either.isLeft(userId)) return Either.left(userId.left)
  return Either.right({ campaignId: campaignId.right, userId: userId.right, timeoutMillis })
}

const issueCoupon = Routes.make({
  method: CouponService.method.issueCoupon,
  bound: "itself",
  access: "SELF",
  call: (useCases, input, { timeoutMillis }) =>
    Effect.flatMap(parseClaim(input, timeoutMillis), useCases.issueCoupon.claim),
  begin: (useCases, input, timeoutMillis, continuation) => {
    const request = parseClaim(input, timeoutMillis)
    if (Either.isLeft(request)) continuation.done(Exit.fail(request.left))
    else useCases.issueCoupon.begin(request.right, continuation)
  },
  respond: (coupon: IssuedCoupon) =>
    create(IssueCouponResponseSchema, {
      message: "OK",
      code: coupon.code,
      issuedAt: issuedText(coupon.issuedAt),
      number: coupon.id,
      ...coupon.expiresAt === undefined ? {} : { expiresAt: expiryText(coupon.expiresAt) }
    }),
  readJson: (bytes) => {
    // Latin-1 is enough to recognise a text of ASCII, and bytes beyond it do not match.
    const match = PLAIN_ISSUE.exec((bytes as Buffer).toString("latin1", 0, 128))
    return match === null || bytes.length > 128
      ? undefined
      : { campaignId: +match[1]!, userId: BigInt(match[2] ?? match[3]!) }
  },
  writeJson: (coupon) => {
    const code = PLAIN_CODE.test(coupon.code) ? `"${coupon.code}"` : JSON.stringify(coupon.code)
    const expiry = coupon.expiresAt === undefined ? "" : `,"expiresAt":"${expiryText(coupon.expiresAt)}"`
    return `{"message":"OK","code":${code},"issuedAt":"${issuedText(coupon.issuedAt)}","number":${coupon.id}${expiry}}`
  }
})

/** Every RPC of `coupon.v1.CouponService` but its streams. */
export const routes: ReadonlyArray<Route> = [
  createCampaign,
  getCampaign,
  issueCoupon,
  getCoupon,
  updateCampaign,
  pauseCampaign,
  resumeCampaign,
  endCampaign,
  listCampaigns,
  ...codeRoutes,
  listCoupons,
  findCoupon,
  listEvents,
  ...redemptionRoutes
]
