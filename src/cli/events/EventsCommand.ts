import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import { type CampaignEvent, CampaignEventSchema } from "../../contract/gen/coupon/v1/coupon_pb.ts"
import * as CampaignFollower from "./CampaignFollower.ts"
import { usage } from "../CliFailure.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"
import * as Json from "../values/Json.ts"
import { campaignId, withPublic } from "../commands/Commands.ts"

/** Events that one call reads. */
const PAGE = 1_000

const after = Options.integer("after").pipe(
  Options.withDescription("the sequence of the last event that you have; 0: from the first on"),
  Options.withDefault(0)
)

const follow = Options.boolean("follow").pipe(
  Options.withDescription("waits for more, until it is ended; goes on when an instance leaves")
)

/** Of what was done to one coupon, or to a pool; `undefined`: the event is none of these. */
const facts = (payload: Readonly<Record<string, unknown>>): string | undefined => {
  const { codeCount, codes, left, number, reason, terminalId } = payload
  if (typeof number === "number") {
    return [`coupon ${number}`, terminalId, reason].filter((word) => typeof word === "string" && word !== "").join(", ")
  }
  if (typeof codes === "number") return `${codes} of ${String(codeCount)} codes`
  return typeof left === "number" ? `${left} of ${String(codeCount)} codes left` : undefined
}

/** What an event says, in a few words. */
const details = ({ firstNumber, lastNumber, payload = {}, type }: CampaignEvent): string => {
  if (type === "coupon.issued") {
    return firstNumber === lastNumber ? `coupon ${firstNumber}` : `coupons ${firstNumber} to ${lastNumber}`
  }
  const words = facts(payload)
  if (words !== undefined) return words
  const { changed, version } = payload
  const names = Array.isArray(changed) ? changed : []
  const changes = names.map((name) => `${String(name)}: ${JSON.stringify(payload[String(name)] ?? null)}`)
  return [...(version === undefined ? [] : [`version ${JSON.stringify(version)}`]), ...changes].join(", ")
}

const print = ({ json, times }: Connection.Connection, event: CampaignEvent): Effect.Effect<void> =>
  json
    ? Output.json(Json.ofMessage(CampaignEventSchema, event))
    : Output.line(Output.printable(
      [String(event.sequence).padStart(6), times.show(event.at).padEnd(24), event.type.padEnd(17), details(event)]
        .join("  ").trimEnd()
    ))

export const events = Command.make(
  "events",
  { after, campaignId, follow, ...Connection.options },
  ({ after, campaignId, follow, ...given }) =>
    withPublic(follow ? { ...given, timeout: CampaignFollower.WATCH_TIMEOUT } : given, (client, connection) =>
      Effect.gen(function*() {
        if (after < 0) return yield* usage("--after must not be negative")
        let last = BigInt(after)
        if (follow) return yield* CampaignFollower.follow(client, campaignId, last, (event) => print(connection, event))
        for (;;) {
          const page = yield* client.listEvents({ campaignId, afterSequence: last, pageSize: PAGE })
          for (const event of page.events) {
            yield* print(connection, event)
            last = event.sequence
          }
          if (page.events.length < PAGE) return
        }
      }))
).pipe(Command.withDescription("lists what happened to a campaign, in the order of commit; --json: an event a line"))
