import { create } from "@bufbuild/protobuf"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { randomUUID } from "node:crypto"
import type { CouponKey, Redeemed } from "../../campaigns/CouponRedemptions.ts"
import * as CouponDetail from "../../contract/CouponDetail.ts"
import {
  CouponSchema,
  CouponService,
  GetRedemptionsResponseSchema,
  RedeemCouponResponseSchema,
  RedemptionAction,
  RedemptionSchema,
  RevokeCouponResponseSchema,
  UndoRedemptionResponseSchema
} from "../../contract/gen/coupon/v1/coupon_pb.ts"
import * as Actor from "../../domain/Actor.ts"
import { parseCampaignId } from "../../domain/CampaignId.ts"
import { parseUserId } from "../../domain/Coupon.ts"
import { InvalidArgument } from "../../domain/Failure.ts"
import {
  parseDetails, type Redemption, type RedemptionAction as DomainAction
} from "../../domain/redemption/Redemption.ts"
import * as RequestId from "../../domain/requests/RequestId.ts"
import { formatRfc3339 } from "../../domain/Time.ts"
import { eraseUser } from "./EraseUserRoute.ts"
import type { Route } from "../Route.ts"
import * as Routes from "../Route.ts"

const actions = {
  REDEEM: RedemptionAction.REDEEM,
  UNDO: RedemptionAction.UNDO,
  REVOKE: RedemptionAction.REVOKE
} satisfies Record<DomainAction, RedemptionAction>

const onWire = (redemption: Redemption) =>
  create(RedemptionSchema, {
    campaignId: redemption.campaignId,
    sequence: redemption.sequence,
    number: redemption.couponId,
    action: actions[redemption.action],
    requestId: redemption.requestId,
    terminalId: redemption.terminalId,
    orderRef: redemption.orderRef,
    reason: redemption.reason,
    occurredAt: redemption.occurredAt === undefined ? "" : formatRfc3339(redemption.occurredAt),
    at: formatRfc3339(redemption.at),
    slotReturned: redemption.slotReturned
  })

/** The fields of a `oneof` of code and user, as protobuf-es has it. */
type KeyInput =
  | { readonly case: "code"; readonly value: string }
  | { readonly case: "userId"; readonly value: bigint }
  | { readonly case: undefined; readonly value?: undefined }

const reject = (field: string, reason: string) => Either.left(new InvalidArgument({ field, reason }))

/** `undefined`: neither is there. */
const parseKey = (input: KeyInput): Either.Either<CouponKey | undefined, InvalidArgument> => {
  switch (input.case) {
    case "code":
      return input.value === "" ? reject("code", "must not be empty") : Either.right({ code: input.value })
    case "userId":
      return Either.map(parseUserId(input.value), (userId) => ({ userId }))
    case undefined:
      return Either.right(undefined)
  }
}

const parseNamed = (input: KeyInput): Either.Either<CouponKey, InvalidArgument> =>
  Either.flatMap(parseKey(input), (key) =>
    key === undefined ? reject("code", "or userId must be there") : Either.right(key))

const answer = ({ coupon, redemption }: Redeemed) => ({
  coupon: create(CouponSchema, CouponDetail.fields(coupon)),
  redemption: onWire(redemption)
})

const redeemCoupon = Routes.make({
  method: CouponService.method.redeemCoupon,
  bound: "write",
  access: "REDEEM",
  call: ({ guard, redemptions }, input, { principal, source }) =>
    Effect.gen(function*() {
      const campaignId = yield* parseCampaignId(input.campaignId)
      const key = yield* parseNamed(input.coupon)
      const requestId = yield* RequestId.parseText(input.requestId)
      const redemption = redemptions.redeem(campaignId, key, requestId, yield* parseDetails(input))
      return yield* guard.redeeming(principal, source, "code" in key ? "code" : "user", redemption)
    }),
  respond: (done) => create(RedeemCouponResponseSchema, answer(done))
})

const undoRedemption = Routes.make({
  method: CouponService.method.undoRedemption,
  bound: "write",
  access: "REDEEMER",
  call: ({ redemptions }, input) =>
    Effect.gen(function*() {
      const campaignId = yield* parseCampaignId(input.campaignId)
      const key = yield* parseNamed(input.coupon)
      const requestId = yield* RequestId.parseText(input.requestId)
      return yield* redemptions.undo(campaignId, key, requestId, yield* parseDetails({ reason: input.reason }))
    }),
  respond: (done) => create(UndoRedemptionResponseSchema, answer(done))
})

const revokeCoupon = Routes.make({
  method: CouponService.method.revokeCoupon,
  bound: "write",
  access: "OPERATOR",
  call: ({ revocations }, input, { principal, source }) =>
    Effect.gen(function*() {
      const campaignId = yield* parseCampaignId(input.campaignId)
      const key = yield* parseNamed(input.coupon)
      const requestId = input.requestId === "" ? randomUUID() : yield* RequestId.parseText(input.requestId)
      const { reason } = yield* parseDetails({ reason: input.reason })
      const actor = Actor.of(principal, source, reason)
      return yield* revocations.revoke({ campaignId, key, requestId, reason, returnSlot: input.returnSlot, actor })
    }),
  respond: (done) => create(RevokeCouponResponseSchema, answer(done))
})

const PAGE_SIZE = 100
const MAX_PAGE_SIZE = 1_000

const getRedemptions = Routes.make({
  method: CouponService.method.getRedemptions,
  bound: "read",
  access: "VIEWER",
  call: ({ redemptions }, { afterSequence, campaignId, coupon, pageSize }) =>
    Effect.gen(function*() {
      const id = yield* parseCampaignId(campaignId)
      const key = yield* parseKey(coupon)
      if (afterSequence < 0) return yield* reject("afterSequence", "must not be negative")
      if (pageSize < 0) return yield* reject("pageSize", "must not be negative")
      const limit = pageSize === 0 ? PAGE_SIZE : Math.min(pageSize, MAX_PAGE_SIZE)
      return yield* redemptions.list({ campaignId: id, key, afterSequence, limit })
    }),
  respond: (redemptions) => create(GetRedemptionsResponseSchema, { redemptions: redemptions.map(onWire) })
})

/** What becomes of coupons after they were issued. */
export const redemptionRoutes: ReadonlyArray<Route> = [
  redeemCoupon, undoRedemption, revokeCoupon, getRedemptions, eraseUser
]
