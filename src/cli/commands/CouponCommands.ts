import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { table } from "../../contract/FailureTable.ts"
import {
  type Coupon, CouponSchema, CouponState, IssueCouponResponseSchema
} from "../../contract/gen/coupon/v1/coupon_pb.ts"
import { CliFailure, usage } from "../CliFailure.ts"
import { campaignId, parseUserId, show, userId, withPublic } from "./Commands.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"
import * as Json from "../values/Json.ts"
import type { Times } from "../values/Times.ts"

const nothingHeld = (campaignId: number, userId: bigint): CliFailure =>
  new CliFailure({
    exit: "NOT_FOUND",
    code: table.RecordNotFound.message,
    message: `${table.RecordNotFound.message}: user ${userId} holds no coupon of campaign ${campaignId}`,
    hint: `\`coupon campaign get ${campaignId}\` shows whether there is such a campaign`
  })

/** Empty: the service does not say. */
const stateWord = ({ state }: Coupon): string =>
  Object.entries(CouponState).find(([, value]) => value === state && value !== CouponState.UNSPECIFIED)?.[0] ?? ""

const states = {
  issued: CouponState.ISSUED,
  redeemed: CouponState.REDEEMED,
  expired: CouponState.EXPIRED,
  revoked: CouponState.REVOKED
} as const

const factsOf = (coupon: Coupon, { show: at }: Times): string =>
  Output.facts({
    code: coupon.code,
    number: coupon.number === 0 ? undefined : coupon.number,
    user: String(coupon.userId),
    campaign: coupon.campaignId,
    issued: at(coupon.issuedAt),
    state: stateWord(coupon),
    expires: at(coupon.expiresAt),
    redeemed: at(coupon.redeemedAt),
    terminal: coupon.terminalId
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
        yield* show(json, Json.ofMessage(IssueCouponResponseSchema, reply), () =>
          Output.printable(reply.code))
      }))
).pipe(Command.withDescription("claims a coupon for a user and prints its code; safe to repeat"))

export const get = Command.make(
  "get",
  { campaignId, userId, ...Connection.options },
  ({ campaignId, userId, ...given }) =>
    withPublic(given, (client, { json, times }) =>
      Effect.gen(function*() {
        const id = yield* parseUserId(userId)
        const { coupon } = yield* Effect.catchTag(client.getCoupon({ campaignId, userId: id }), "RecordNotFound", () =>
          Effect.fail(nothingHeld(campaignId, id)))
        if (coupon === undefined) return yield* noCoupon
        yield* show(json, Json.ofMessage(CouponSchema, coupon), () =>
          factsOf(coupon, times))
      }))
).pipe(Command.withDescription("shows the coupon that a user holds"))

export const find = Command.make(
  "find",
  { campaignId, code: Args.text({ name: "code" }).pipe(Args.withDescription("a code")), ...Connection.options },
  ({ campaignId, code, ...given }) =>
    withPublic(given, (client, { json, times }) =>
      Effect.gen(function*() {
        const { coupon } = yield* client.findCoupon({ campaignId, code })
        if (coupon === undefined) return yield* noCoupon
        yield* show(json, Json.ofMessage(CouponSchema, coupon), () => factsOf(coupon, times))
      }))
).pipe(Command.withDescription("shows the coupon that has a code"))

export const list = Command.make(
  "list",
  {
    campaignId: Args.optional(campaignId),
    user: Options.text("user").pipe(
      Options.withDescription("only the coupons of this user; without a campaign, in all campaigns"),
      Options.optional
    ),
    desc: Options.boolean("desc").pipe(Options.withDescription("the last one first, or the newest campaign")),
    from: Options.text("from").pipe(
      Options.withDescription("only those issued then or later: 2025-06-25T00:00:00Z"),
      Options.withDefault("")
    ),
    before: Options.text("before").pipe(
      Options.withDescription("only those issued before then"),
      Options.withDefault("")
    ),
    state: Options.choice("state", Object.keys(states) as Array<keyof typeof states>).pipe(
      Options.withDescription("only coupons that are in this state now"),
      Options.optional
    ),
    limit: Options.integer("limit").pipe(Options.withDescription("how many at most"), Options.withDefault(100)),
    ...Connection.options
  },
  ({ before, campaignId, desc, from, limit, state, user, ...given }) =>
    withPublic(given, (client, { json, times }) =>
      Effect.gen(function*() {
        if (limit < 1) return yield* usage("--limit must be at least 1")
        if (Option.isNone(campaignId) && Option.isNone(user)) return yield* usage("give a campaign, or --user, or both")
        const userId = Option.isNone(user) ? 0n : yield* parseUserId(user.value)
        const coupons: Array<Coupon> = []
        let pageToken = ""
        do {
          const page = yield* client.listCoupons({
            campaignId: Option.getOrElse(campaignId, () => 0),
            userId,
            descending: desc,
            issuedFrom: from === "" ? "" : yield* times.parse("--from", from, "last"),
            issuedBefore: before === "" ? "" : yield* times.parse("--before", before, "last"),
            states: Option.isNone(state) ? [] : [states[state.value]],
            pageSize: Math.min(1_000, limit - coupons.length),
            pageToken
          })
          coupons.push(...page.coupons)
          pageToken = page.nextPageToken
        } while (pageToken !== "" && coupons.length < limit)
        if (json) {
          const shown = coupons.map((one) => Json.ofMessage(CouponSchema, one))
          return yield* Output.json({ coupons: shown, more: pageToken !== "" })
        }
        yield* Output.line(
          coupons.length === 0 ? "there are no such coupons" : Output.table(
            ["campaign", "number", "user", "code", "issued", "state", "expires"],
            coupons.map((one) => [
              ...[one.campaignId, one.number, String(one.userId), one.code, times.show(one.issuedAt)],
              ...[stateWord(one), times.show(one.expiresAt)]
            ])
          )
        )
        if (pageToken !== "") yield* Output.line(`there are more: --limit ${limit * 2}, or \`coupon export\``)
      }))
).pipe(Command.withDescription("lists coupons of a campaign or of a user"))
