import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { randomUUID } from "node:crypto"
import { CreateCampaignResponseSchema } from "../../contract/gen/coupon/v1/coupon_pb.ts"
import { usage } from "../CliFailure.ts"
import { requestIdOf, show, withPublic } from "../commands/Commands.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"
import * as Json from "../values/Json.ts"
import type { Times } from "../values/Times.ts"
import { allowPastEnd, end, limit, name, start } from "./CampaignOptions.ts"
import * as CodeOptions from "./CodeOptions.ts"
import { untilKnown } from "../SafeRepetition.ts"
import * as ValidityOptions from "./ValidityOptions.ts"

/** What was made, and when it opens: `Summer: 1000 coupons, opens in 59 min 58 s, at 2025-06-25T12:00:00+09:00`. */
export const opening = (
  { couponLimit, endTime, name, startTime }: {
    readonly name: string
    readonly couponLimit: bigint
    readonly startTime: string
    readonly endTime: string
  },
  times: Times,
  now: number
): string => {
  const seconds = (Date.parse(startTime) - now) / 1_000
  const start = times.show(startTime)
  const end = endTime === "" ? "" : `, ends at ${times.show(endTime)}`
  return `${Output.printable(name)}: ${Output.counted(Number(couponLimit), "coupon")}, ` +
    (seconds > 0 ? `opens in ${Output.span(Math.ceil(seconds))}, at ${start}` : `open since ${start}`) + end
}

export const create = Command.make(
  "create",
  {
    name,
    limit,
    start: Options.withDefault(start, "now"),
    end: Options.optional(end),
    allowPastEnd,
    requestId: Options.text("request-id").pipe(
      Options.withDescription("1 to 64 characters of your own: repeated with them, it opens no second campaign"),
      Options.optional
    ),
    pool: CodeOptions.pool,
    ...CodeOptions.options,
    ...ValidityOptions.options,
    ...Connection.acting
  },
  ({ allowPastEnd, end, limit, name, pool, requestId, start, ...given }) =>
    withPublic(given, (client, { json, times }) =>
      Effect.gen(function*() {
        const startTime = yield* times.parse("--start", start)
        const endTime = Option.isNone(end) ? "" : yield* times.parse("--end", end.value)
        if (pool && CodeOptions.isGiven(given)) {
          return yield* usage("--pool excludes --pattern, --alphabet, --characters and --check")
        }
        const codes = { ...CodeOptions.toWire(given), codeSource: CodeOptions.sourceOf(pool) }
        const id = yield* requestIdOf(requestId, randomUUID)
        const request = {
          ...{ name, couponLimit: BigInt(limit), startTime, endTime, allowPastEnd, requestId: id, ...codes },
          ...yield* ValidityOptions.toWire(given, times)
        }
        const reply = yield* untilKnown(
          client.createCampaign(request),
          `--request-id '${id}' --start ${startTime}${endTime === "" ? "" : ` --end ${endTime}`}` +
            ValidityOptions.repetition(request.couponValidity)
        )
        yield* show(json, Json.ofMessage(CreateCampaignResponseSchema, reply), () =>
          `campaign ${reply.campaignId}`)
        // On standard error, so that standard output has the campaign's id alone.
        if (!json) yield* Console.error(opening(request, times, Date.now()))
      }))
).pipe(Command.withDescription("opens a campaign; with --request-id and --start, safe to repeat"))
