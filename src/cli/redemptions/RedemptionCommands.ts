import { type DescMessage, type MessageShape } from "@bufbuild/protobuf"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { randomUUID } from "node:crypto"
import {
  type Coupon, RedeemCouponResponseSchema, type Redemption, RevokeCouponResponseSchema, UndoRedemptionResponseSchema
} from "../../contract/gen/coupon/v1/coupon_pb.ts"
import type { CallFailure } from "../../client/CouponClient.ts"
import { type CliFailure, usage } from "../CliFailure.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"
import { untilKnown } from "../SafeRepetition.ts"
import * as Json from "../values/Json.ts"
import * as Confirmation from "../line/Confirmation.ts"
import { campaignId, parseUserId, requestIdOf, show, withPublic } from "../commands/Commands.ts"

const code = Args.text({ name: "code" }).pipe(Args.withDescription("the coupon's code"), Args.optional)
const user = Options.text("user").pipe(
  Options.withDescription("the coupon's user, instead of its code"),
  Options.optional
)
const requestId = Options.text("request-id").pipe(
  Options.withDescription("names this request, so that it may be repeated; default: a new UUID"),
  Options.optional
)
const text = (name: string, description: string) =>
  Options.text(name).pipe(Options.withDescription(description), Options.withDefault(""))

type Key = { readonly case: "code"; readonly value: string } | { readonly case: "userId"; readonly value: bigint }

const keyOf = (
  code: Option.Option<string>,
  user: Option.Option<string>
): Effect.Effect<Key, CliFailure> => {
  if (Option.isSome(code) === Option.isSome(user)) return Effect.fail(usage("give a code, or a user by --user"))
  return Option.isSome(code)
    ? Effect.succeed({ case: "code", value: code.value })
    : Effect.map(parseUserId(Option.getOrThrow(user)), (value) => ({ case: "userId", value }))
}

const print = <Desc extends DescMessage>(
  schema: Desc,
  reply: MessageShape<Desc>,
  { coupon, redemption }: { readonly coupon?: Coupon | undefined; readonly redemption?: Redemption | undefined },
  { json, times }: Connection.Connection
) =>
  show(json, Json.ofMessage(schema, reply), () =>
    Output.facts({
      code: coupon?.code,
      number: coupon?.number,
      user: coupon === undefined ? undefined : String(coupon.userId),
      campaign: coupon?.campaignId,
      at: times.show(redemption?.at),
      request: redemption?.requestId
    }))

/** Sends an act until its outcome is known, and names the request by which it can be repeated where it is not. */
const act = <A>(id: Option.Option<string>, send: (requestId: string) => Effect.Effect<A, CallFailure>) =>
  Effect.flatMap(requestIdOf(id, randomUUID), (requestId) =>
    untilKnown(send(requestId), `--request-id ${Output.printable(requestId)}`))

export const redeem = Command.make(
  "redeem",
  {
    campaignId,
    code,
    user,
    requestId,
    terminalId: text("terminal", "where it is redeemed"),
    orderRef: text("order", "what it is redeemed for"),
    ...Connection.options
  },
  ({ campaignId, code, orderRef, requestId, terminalId, user, ...given }) =>
    withPublic(given, (client, connection) =>
      Effect.gen(function*() {
        const coupon = yield* keyOf(code, user)
        const reply = yield* act(requestId, (id) =>
          client.redeemCoupon({ campaignId, coupon, orderRef, terminalId, requestId: id }))
        yield* print(RedeemCouponResponseSchema, reply, reply, connection)
      }))
).pipe(Command.withDescription("redeems a coupon; safe to repeat with the same --request-id"))

export const undo = Command.make(
  "undo",
  { campaignId, code, user, requestId, reason: text("reason", "why"), ...Connection.options },
  ({ campaignId, code, reason, requestId, user, ...given }) =>
    withPublic({ ...given, reason }, (client, connection) =>
      Effect.gen(function*() {
        const coupon = yield* keyOf(code, user)
        const reply = yield* act(requestId, (id) =>
          client.undoRedemption({ campaignId, coupon, reason, requestId: id }))
        yield* print(UndoRedemptionResponseSchema, reply, reply, connection)
      }))
).pipe(Command.withDescription("undoes the redemption of a coupon, within its window"))

export const revoke = Command.make(
  "revoke",
  {
    campaignId,
    code,
    user,
    requestId,
    reason: text("reason", "why"),
    returnSlot: Options.boolean("return-slot").pipe(
      Options.withDescription("one more user gets a coupon; else the slot stays used")
    ),
    yes: Confirmation.yes,
    ...Connection.options
  },
  ({ campaignId, code, reason, requestId, returnSlot, user, yes, ...given }) =>
    withPublic({ ...given, reason }, (client, connection) =>
      Effect.gen(function*() {
        const coupon = yield* keyOf(code, user)
        const what = "a coupon is revoked for good"
        yield* Confirmation.confirm({ what, word: String(coupon.value), yes, json: connection.json })
        const reply = yield* act(requestId, (id) =>
          client.revokeCoupon({ campaignId, coupon, reason, returnSlot, requestId: id }))
        yield* print(RevokeCouponResponseSchema, reply, reply, connection)
      }))
).pipe(Command.withDescription("revokes a coupon for good; safe to repeat with the same --request-id"))
