import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { rootMessage } from "../../base/RootMessage.ts"
import type { CallFailure, CouponClient } from "../../client/CouponClient.ts"
import type { CampaignEvent } from "../../contract/gen/coupon/v1/coupon_pb.ts"
import * as CloudEvents from "../../contract/webhooks/CloudEvents.ts"
import * as StandardWebhooks from "../../contract/webhooks/StandardWebhooks.ts"
import { usage } from "../CliFailure.ts"
import * as CampaignFollower from "../events/CampaignFollower.ts"
import { withPublic } from "../commands/Commands.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"

/** Events of one request in the modes `batch` and `range`, as the service sends them. */
const MOST_EVENTS = 500

/** How long a receiver may take for all of its answer, as with the service. */
const PATIENCE_MILLIS = 15_000

type Mode = "each" | "batch" | "range"

const loggedOf = (event: CampaignEvent): CloudEvents.LoggedEvent => ({
  campaignId: event.campaignId,
  sequence: Number(event.sequence),
  type: event.type,
  firstNumber: event.firstNumber,
  lastNumber: event.lastNumber,
  payload: event.payload ?? {},
  at: Date.parse(event.at)
})

/** Events of the log that one call reads. */
const PAGE = 1_000

/** The events that a watch has sent as one, as the log has them: ids and sequences of what is sent come from these. */
const loggedEvents = (
  client: CouponClient["Type"],
  event: CampaignEvent
): Stream.Stream<ReadonlyArray<CampaignEvent>, CallFailure> => {
  if (event.firstSequence === event.sequence) return Stream.make([event])
  const { campaignId, firstSequence, sequence } = event
  return Stream.paginateEffect(firstSequence - 1n, (afterSequence) =>
    Effect.map(client.listEvents({ campaignId, afterSequence, pageSize: PAGE }), ({ events }) => {
      const some = events.filter((one) => one.sequence <= sequence)
      const last = some.at(-1)?.sequence ?? sequence
      return [some, last < sequence ? Option.some(last) : Option.none()]
    }))
}

/** The events of the coupons that ranges stand for, which follow one another. */
const couponsOf = (client: CouponClient["Type"], ranges: ReadonlyArray<CampaignEvent>) => {
  const [first, last] = [ranges[0], ranges.at(-1)]
  if (first === undefined || last === undefined) return Stream.empty
  let at = 0
  return client.exportCoupons({ campaignId: first.campaignId, afterNumber: first.firstNumber - 1 }).pipe(
    Stream.mapConcat(({ coupons }) => coupons),
    Stream.takeWhile(({ number }) => number <= last.lastNumber),
    Stream.map((coupon) => {
      while (ranges[at]!.lastNumber < coupon.number) at++
      return CloudEvents.ofCoupon(loggedOf(ranges[at]!), {
        campaignId: first.campaignId,
        id: coupon.number,
        userId: coupon.userId,
        code: coupon.code,
        issuedAt: Date.parse(coupon.issuedAt),
        expiresAt: coupon.expiresAt === undefined ? undefined : Date.parse(coupon.expiresAt)
      })
    })
  )
}

/** The bodies of the requests that an event of a watch makes in a mode. */
const bodiesOf = (
  client: CouponClient["Type"],
  mode: Mode,
  event: CampaignEvent
): Stream.Stream<{ readonly id: string; readonly body: CloudEvents.Body; readonly count: number }, CallFailure> => {
  const events = Stream.flatMap(loggedEvents(client, event), (some) =>
    mode !== "range" && CloudEvents.isRange(loggedOf(event))
      ? couponsOf(client, some)
      : Stream.fromIterable(some.map((one) => CloudEvents.ofEvent(loggedOf(one)))))
  return mode === "each"
    ? Stream.map(events, (one) => ({ id: `msg_${one.id}`, body: CloudEvents.single(one), count: 1 }))
    : Stream.map(Stream.grouped(events, MOST_EVENTS), (chunk) => {
      const some = [...chunk]
      return { id: `msg_${some[0]!.id}`, body: CloudEvents.batch(some), count: some.length }
    })
}

/** What a receiver answered, in a few words; no answer is one too. */
const send = (target: string, secret: string, id: string, { contentType, text }: CloudEvents.Body) =>
  Effect.promise(async () => {
    const began = performance.now()
    const took = () => Math.round(performance.now() - began)
    try {
      const reply = await fetch(target, {
        method: "POST",
        body: text,
        headers: { "content-type": contentType, ...StandardWebhooks.sign([secret], id, Date.now(), text) },
        redirect: "manual",
        signal: AbortSignal.timeout(PATIENCE_MILLIS)
      })
      await reply.body?.cancel()
      return { delivered: reply.ok, text: `${reply.status} ${reply.statusText}`.trim(), tookMillis: took() }
    } catch (cause) {
      return { delivered: false, text: rootMessage(cause), tookMillis: took() }
    }
  })

export const listen = Command.make(
  "listen",
  {
    target: Options.text("forward-to").pipe(
      Options.withDescription("where each request goes: http://localhost:3000/hook")
    ),
    campaign: Options.integer("campaign").pipe(Options.withDescription("the campaign's number")),
    after: Options.integer("after").pipe(
      Options.withDescription("also the events after this sequence; unless given, those from now on"),
      Options.optional
    ),
    mode: Options.choice("mode", ["each", "batch", "range"] as const).pipe(
      Options.withDescription("each: a coupon a request; batch: up to 500; range: the first and the last number"),
      Options.withDefault("batch" as const)
    ),
    secret: Options.text("secret").pipe(
      Options.withDescription("signs by this one, whsec_…; unless given, by a new one that it prints"),
      Options.optional
    ),
    ...Connection.options
  },
  ({ after, campaign, mode, secret: given, target, ...connection }) =>
    withPublic({ ...connection, timeout: CampaignFollower.WATCH_TIMEOUT }, (client, { json }) =>
      Effect.gen(function*() {
        if (!URL.canParse(target) || !/^https?:$/.test(new URL(target).protocol)) {
          return yield* usage("--forward-to must be a URL such as http://localhost:3000/hook")
        }
        if (Option.exists(given, (text) => !/^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/.test(text))) {
          return yield* usage("--secret must be whsec_ and 24 to 64 bytes in base64")
        }
        const secret = Option.getOrElse(given, StandardWebhooks.makeSecret)
        if (Option.isNone(given)) yield* Console.error(`requests are signed by ${secret}`)

        const forward = (event: CampaignEvent) =>
          Stream.runForEach(bodiesOf(client, mode, event), ({ body, count, id }) =>
            Effect.flatMap(send(target, secret, id, body), (answer) =>
              json
                ? Output.json({ sequence: Number(event.sequence), type: event.type, id, events: count, ...answer })
                : Output.line(Output.printable(
                  `${String(event.sequence).padStart(6)}  ${event.type.padEnd(17)}  ${count} in ${id}: ` +
                    `${answer.text}, ${answer.tookMillis} ms`
                ))))

        const from = Option.getOrUndefined(Option.map(after, BigInt))
        return yield* CampaignFollower.follow(client, campaign, from, forward)
      }))
).pipe(Command.withDescription(
  "sends a campaign's events to an endpoint of a developer as a webhook would, signed, without a public address"
))
