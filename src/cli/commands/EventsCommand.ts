import { toJson } from "@bufbuild/protobuf"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type CampaignEvent, CampaignEventSchema } from "../../contract/gen/coupon/v1/coupon_pb.ts"
import * as Backoff from "../../base/Backoff.ts"
import type { CallFailure } from "../../client/CouponClient.ts"
import { usage } from "../CliFailure.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"
import { campaignId, withPublic } from "./Commands.ts"

/** Events that one call reads. */
const PAGE = 1_000

const after = Options.integer("after").pipe(
  Options.withDescription("the sequence of the last event that you have; 0: from the first on"),
  Options.withDefault(0)
)

const follow = Options.boolean("follow").pipe(
  Options.withDescription("waits for more, until it is ended; goes on when an instance leaves")
)

/** A watch that works is silent for 15 s at most: the usual timeout would end it again and again. */
export const WATCH_TIMEOUT = "1m"

/** Before it asks again for what follows: 100 ms doubling to 5 s. */
const again = Backoff.make({ firstMillis: 100, lastMillis: 5_000 })

/** What an event says, in a few words. */
const details = ({ firstNumber, lastNumber, payload = {}, type }: CampaignEvent): string => {
  if (type === "coupon.issued") {
    return firstNumber === lastNumber ? `coupon ${firstNumber}` : `coupons ${firstNumber} to ${lastNumber}`
  }
  const { changed, version } = payload
  const names = Array.isArray(changed) ? changed : []
  const changes = names.map((name) => `${String(name)}: ${JSON.stringify(payload[String(name)])}`)
  return [...(version === undefined ? [] : [`version ${JSON.stringify(version)}`]), ...changes].join(", ")
}

const print = (json: boolean, event: CampaignEvent): Effect.Effect<void> =>
  json
    ? Output.json(toJson(CampaignEventSchema, event, { alwaysEmitImplicit: true }))
    : Output.line(Output.printable(
      `${String(event.sequence).padStart(6)}  ${event.at.padEnd(24)}  ${event.type.padEnd(17)}  ${details(event)}`
        .trimEnd()
    ))

/** A failure after which another instance, or this one a moment later, may go on. */
export const isPassing = ({ _tag }: CallFailure): boolean =>
  _tag === "Unavailable" || _tag === "Overloaded" || _tag === "Unreachable" || _tag === "TimedOut" ||
  _tag === "RateLimited"

export const events = Command.make(
  "events",
  { after, campaignId, follow, ...Connection.options },
  ({ after, campaignId, follow, ...given }) =>
    withPublic(follow ? { ...given, timeout: WATCH_TIMEOUT } : given, (client, { json }) =>
      Effect.gen(function*() {
        if (after < 0) return yield* usage("--after must not be negative")
        let last = BigInt(after)
        for (let failures = 0; follow;) {
          const watching = Stream.runForEach(client.watchCampaign({ campaignId, afterSequence: last }), ({ message }) =>
            Effect.suspend(() => {
              failures = 0
              if (message.case !== "event") return Effect.void
              last = message.value.sequence
              return print(json, message.value)
            }))
          // Whatever ended it may be over: each event has a sequence, so none is missed or comes twice.
          yield* Effect.catchIf(watching, isPassing, () => Effect.void)
          yield* Effect.sleep(again(++failures))
        }
        for (;;) {
          const page = yield* client.listEvents({ campaignId, afterSequence: last, pageSize: PAGE })
          for (const event of page.events) {
            yield* print(json, event)
            last = event.sequence
          }
          if (page.events.length < PAGE) return
        }
      }))
).pipe(Command.withDescription("lists what happened to a campaign, in the order of commit; --json: an event a line"))
