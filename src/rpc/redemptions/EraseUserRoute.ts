import { create } from "@bufbuild/protobuf"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { CouponService, EraseUserResponseSchema } from "../../contract/gen/coupon/v1/coupon_pb.ts"
import * as Actor from "../../domain/Actor.ts"
import { type CampaignId, parseCampaignId } from "../../domain/CampaignId.ts"
import { parseUserId } from "../../domain/Coupon.ts"
import { InvalidArgument } from "../../domain/Failure.ts"
import { parseDetails } from "../../domain/redemption/Redemption.ts"
import type { Route } from "../Route.ts"
import * as Routes from "../Route.ts"

const invalidToken = new InvalidArgument({ field: "pageToken", reason: "must be the nextPageToken of an answer" })

/** The last campaign that the call before has looked at. */
const decodeToken = (token: string): Either.Either<CampaignId | undefined, InvalidArgument> => {
  if (token === "") return Either.right(undefined)
  const id = /^[1-9]\d{0,9}$/.test(token) ? parseCampaignId(Number(token)) : Either.left(invalidToken)
  return Either.mapLeft(id, () => invalidToken)
}

export const eraseUser: Route = Routes.make({
  method: CouponService.method.eraseUser,
  bound: "write",
  access: "ADMIN",
  touches: "all",
  call: ({ erasure }, input, { principal, source }) =>
    Effect.gen(function*() {
      const userId = yield* parseUserId(input.userId)
      const { reason } = yield* parseDetails({ reason: input.reason })
      const afterCampaign = yield* decodeToken(input.pageToken)
      const actor = Actor.of(principal, source, reason)
      return yield* erasure.erase({ userId, afterCampaign, reason, actor })
    }),
  respond: ({ coupons, next }) =>
    create(EraseUserResponseSchema, { erased: coupons, nextPageToken: next === undefined ? "" : String(next) })
})
