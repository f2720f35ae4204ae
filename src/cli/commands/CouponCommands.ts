import { fromBinary, toJson } from "@bufbuild/protobuf"
import * as Command from "@effect/cli/Command"
import type { ConnectError } from "@connectrpc/connect"
import * as Effect from "effect/Effect"
import { CouponSchema, IssueCouponResponseSchema } from "../../contract/gen/coupon/v1/coupon_pb.ts"
import { CliFailure } from "../CliFailure.ts"
import { campaignId, parseUserId, show, userId, withPublic } from "./Commands.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"

/** A holder's coupon is in the refusal: it is what they wanted to know. */
const alreadyClaimed = (error: ConnectError): CliFailure | undefined => {
  if (error.rawMessage !== "COUPON_ALREADY_CLAIMED") return undefined
  const detail = error.details.find((detail) => "type" in detail && detail.type === CouponSchema.typeName)
  const coupon = detail !== undefined && "type" in detail ? fromBinary(CouponSchema, detail.value) : undefined
  return new CliFailure({
    exit: "PRECONDITION",
    code: error.rawMessage,
    message: coupon === undefined
      ? "COUPON_ALREADY_CLAIMED"
      : `COUPON_ALREADY_CLAIMED: user ${coupon.userId} holds ${coupon.code} since ${coupon.issuedAt}`
  })
}

const nothingHeld = (campaignId: number, userId: bigint) => (error: ConnectError): CliFailure | undefined =>
  error.rawMessage !== "RECORD_NOT_FOUND" ? undefined : new CliFailure({
    exit: "NOT_FOUND",
    code: error.rawMessage,
    message: `RECORD_NOT_FOUND: user ${userId} holds no coupon of campaign ${campaignId}`,
    hint: `\`coupon campaign get ${campaignId}\` tells whether there is such a campaign`
  })

export const issue = Command.make("issue", { campaignId, userId, ...Connection.options }, ({ campaignId, userId, ...given }) =>
  withPublic(given, (client, { json }) =>
    Effect.gen(function*() {
      const id = yield* parseUserId(userId)
      const reply = yield* client.call((api, options) => api.issueCoupon({ campaignId, userId: id }, options), {
        writes: true,
        onError: alreadyClaimed
      })
      yield* show(json, toJson(IssueCouponResponseSchema, reply, { alwaysEmitImplicit: true }), () => Output.printable(reply.code))
    }))).pipe(Command.withDescription("claims a coupon for a user and prints its code; safe to repeat"))

export const get = Command.make("get", { campaignId, userId, ...Connection.options }, ({ campaignId, userId, ...given }) =>
  withPublic(given, (client, { json }) =>
    Effect.gen(function*() {
      const id = yield* parseUserId(userId)
      const { coupon } = yield* client.call((api, options) => api.getCoupon({ campaignId, userId: id }, options), {
        onError: nothingHeld(campaignId, id)
      })
      if (coupon === undefined) return yield* new CliFailure({ exit: "FAILED", code: "UNEXPECTED", message: "the answer holds no coupon" })
      yield* show(json, toJson(CouponSchema, coupon, { alwaysEmitImplicit: true }), () =>
        Output.facts({ code: coupon.code, user: String(coupon.userId), campaign: coupon.campaignId, issued: coupon.issuedAt }))
    }))).pipe(Command.withDescription("shows the coupon that a user holds"))
