import { toJson } from "@bufbuild/protobuf"
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import { table } from "../../contract/FailureTable.ts"
import { CouponSchema, IssueCouponResponseSchema } from "../../contract/gen/coupon/v1/coupon_pb.ts"
import { CliFailure } from "../CliFailure.ts"
import { campaignId, parseUserId, show, userId, withPublic } from "./Commands.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"

const nothingHeld = (campaignId: number, userId: bigint): CliFailure =>
  new CliFailure({
    exit: "NOT_FOUND",
    code: table.RecordNotFound.message,
    message: `${table.RecordNotFound.message}: user ${userId} holds no coupon of campaign ${campaignId}`,
    hint: `\`coupon campaign get ${campaignId}\` shows whether there is such a campaign`
  })

const noCoupon = new CliFailure({ exit: "FAILED", code: "UNEXPECTED", message: "the answer holds no coupon" })

export const issue = Command.make(
  "issue",
  { campaignId, userId, ...Connection.options },
  ({ campaignId, userId, ...given }) =>
    withPublic(given, (client, { json }) =>
      Effect.gen(function*() {
        const id = yield* parseUserId(userId)
        const reply = yield* client.issueCoupon({ campaignId, userId: id })
        yield* show(json, toJson(IssueCouponResponseSchema, reply, { alwaysEmitImplicit: true }), () =>
          Output.printable(reply.code))
      }))
).pipe(Command.withDescription("claims a coupon for a user and prints its code; safe to repeat"))

export const get = Command.make(
  "get",
  { campaignId, userId, ...Connection.options },
  ({ campaignId, userId, ...given }) =>
    withPublic(given, (client, { json }) =>
      Effect.gen(function*() {
        const id = yield* parseUserId(userId)
        const { coupon } = yield* Effect.catchTag(client.getCoupon({ campaignId, userId: id }), "RecordNotFound", () =>
          Effect.fail(nothingHeld(campaignId, id)))
        if (coupon === undefined) return yield* noCoupon
        yield* show(json, toJson(CouponSchema, coupon, { alwaysEmitImplicit: true }), () =>
          Output.facts({
            code: coupon.code,
            number: coupon.number === 0 ? undefined : coupon.number,
            user: String(coupon.userId),
            campaign: coupon.campaignId,
            issued: coupon.issuedAt
          }))
      }))
).pipe(Command.withDescription("shows the coupon that a user holds"))
