import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as DurationText from "../../base/DurationText.ts"
import {
  ParkedDeliverySchema,
  TestWebhookResponseSchema,
  type Webhook,
  type WebhookAttempt,
  WebhookAttempt_Result,
  WebhookAttemptSchema,
  WebhookMode,
  WebhookOnFailure,
  type WebhookPosition,
  WebhookSchema,
  WebhookStatus
} from "../../contract/gen/coupon/v1/webhook_pb.ts"
import { table } from "../../contract/FailureTable.ts"
import { CliFailure, usage } from "../CliFailure.ts"
import { countOf, show, withWebhooks } from "../commands/Commands.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"
import * as Json from "../values/Json.ts"
import type { Times } from "../values/Times.ts"

const modes = { each: WebhookMode.EACH, batch: WebhookMode.BATCH, range: WebhookMode.RANGE } as const
const reactions = { retry: WebhookOnFailure.RETRY, park: WebhookOnFailure.PARK } as const
type Text = Option.Option<string>

const webhookId = Args.text({ name: "webhook-id" }).pipe(Args.withDescription("`coupon webhook list` shows it"))

/** What can be set of a webhook. */
const fields = {
  description: Options.text("description").pipe(
    Options.withDescription("what it is for, at most 200 characters"),
    Options.optional
  ),
  types: Options.text("types").pipe(
    Options.withDescription("only events of these types: coupon.issued,campaign.ended, or all"),
    Options.optional
  ),
  campaigns: Options.text("campaigns").pipe(
    Options.withDescription("only events of these campaigns: 1,2 (up to 1,000), or all"),
    Options.optional
  ),
  mode: Options.choice("mode", Object.keys(modes) as Array<keyof typeof modes>).pipe(
    Options.withDescription("each: a coupon a request; batch: up to 500; range: the first and the last number"),
    Options.optional
  ),
  onFailure: Options.choice("on-failure", Object.keys(reactions) as Array<keyof typeof reactions>).pipe(
    Options.withDescription("retry: what fails holds up what follows; park: it is set aside after --max-attempts"),
    Options.optional
  ),
  maxAttempts: Options.integer("max-attempts").pipe(
    Options.withDescription("with --on-failure park, 1 to 8"),
    Options.optional
  ),
  concurrency: Options.integer("concurrency").pipe(
    Options.withDescription("campaigns whose events are sent at the same time, 1 to 16"),
    Options.optional
  )
}

/** `a,b` as its parts; none for `all`. */
const parts = (text: Text): ReadonlyArray<string> | undefined =>
  Option.getOrUndefined(Option.map(text, (some) => some === "all" ? [] : some.split(",").map((one) => one.trim())))

const campaignsOf = (text: Text): Effect.Effect<ReadonlyArray<number> | undefined, CliFailure> => {
  const ids = parts(text)
  return ids?.some((id) => !/^[1-9]\d{0,9}$/.test(id)) === true
    ? Effect.fail(usage("--campaigns must be numbers of campaigns such as 1,2, or all"))
    : Effect.succeed(ids?.map(Number))
}

/** The name of a value of an enumeration, in small letters. */
const nameOf = (values: Readonly<Record<string, number>>, value: number): string =>
  (Object.keys(values).find((name) => values[name] === value) ?? String(value)).toLowerCase()

const factsOf = (webhook: Webhook, { show: time }: Times): string =>
  Output.facts({
    id: webhook.id,
    url: webhook.url,
    description: webhook.description || undefined,
    status: nameOf(WebhookStatus, webhook.status) + (webhook.reason === "" ? "" : `: ${webhook.reason}`),
    types: webhook.types.join(", ") || "all",
    campaigns: webhook.campaignIds.join(", ") || "all",
    mode: nameOf(WebhookMode, webhook.mode),
    "on failure": nameOf(WebhookOnFailure, webhook.onFailure) +
      (webhook.onFailure === WebhookOnFailure.PARK ? ` after ${webhook.maxAttempts}` : ""),
    concurrency: webhook.concurrency,
    backlog: `${webhook.backlog} events, the oldest ${Math.round(Number(webhook.lagMillis) / 1_000)} s old`,
    "failing since": time(webhook.failingSince),
    "former secret until": time(webhook.formerSecretUntil),
    version: String(webhook.version)
  })

const noWebhook = new CliFailure({ exit: "FAILED", code: "UNEXPECTED", message: "the answer holds no webhook" })

const showWebhook = ({ json, times }: Connection.Connection, webhook: Webhook | undefined) =>
  webhook === undefined
    ? Effect.fail(noWebhook)
    : show(json, Json.ofMessage(WebhookSchema, webhook), () => factsOf(webhook, times))

const create = Command.make(
  "create",
  {
    target: Args.text({ name: "target" }).pipe(Args.withDescription("where it is sent: https://shop.example/hook")),
    ...fields,
    ...Connection.acting
  },
  ({ campaigns, concurrency, description, maxAttempts, mode, onFailure, target, types, ...given }) =>
    withWebhooks(given, (client, { json }) =>
      Effect.gen(function*() {
        const { secret, webhook } = yield* client.createWebhook({
          url: target,
          description: Option.getOrElse(description, () => ""),
          types: [...parts(types) ?? []],
          campaignIds: [...(yield* campaignsOf(campaigns)) ?? []],
          mode: Option.match(mode, { onNone: () => WebhookMode.UNSPECIFIED, onSome: (name) => modes[name] }),
          onFailure: Option.match(onFailure, {
            onNone: () => WebhookOnFailure.UNSPECIFIED,
            onSome: (name) => reactions[name]
          }),
          maxAttempts: Option.getOrElse(maxAttempts, () => 0),
          concurrency: Option.getOrElse(concurrency, () => 0)
        })
        if (webhook === undefined) return yield* noWebhook
        // Standard output has only the secret, for redirection.
        yield* show(json, { webhook: Json.ofMessage(WebhookSchema, webhook), secret }, () => secret)
        if (!json) yield* Console.error(`webhook ${webhook.id}: keep the secret, it is shown only once`)
      }))
).pipe(Command.withDescription("makes a webhook that gets the events from now on; prints its secret, only once"))

const get = Command.make("get", { id: webhookId, ...Connection.options }, ({ id, ...given }) =>
  withWebhooks(given, (client, connection) =>
    Effect.flatMap(client.getWebhook({ id }), ({ webhook }) => showWebhook(connection, webhook)))).pipe(
      Command.withDescription("shows a webhook, its backlog, and why it is disabled")
    )

const list = Command.make("list", Connection.options, (given) =>
  withWebhooks(given, (client, { json, times }) =>
    Effect.flatMap(client.listWebhooks({}), ({ webhooks }) =>
      show(json, webhooks.map((one) => Json.ofMessage(WebhookSchema, one)), () =>
        webhooks.length === 0 ? "there are no webhooks" : Output.table(
          ["id", "url", "mode", "status", "backlog", "lag s", "failing since"],
          webhooks.map((one) => [
            one.id,
            one.url,
            nameOf(WebhookMode, one.mode),
            nameOf(WebhookStatus, one.status),
            String(one.backlog),
            Math.round(Number(one.lagMillis) / 1_000),
            times.show(one.failingSince)
          ])
        ))))).pipe(Command.withDescription("lists all webhooks, the oldest first"))

const expectedVersion = Options.integer("expected-version").pipe(
  Options.withDescription("only if the webhook is at this version"),
  Options.withDefault(0)
)

const update = Command.make(
  "update",
  {
    id: webhookId,
    target: Options.text("target").pipe(Options.withDescription("where it is sent"), Options.optional),
    ...fields,
    enable: Options.boolean("enable").pipe(Options.withDescription("sends again, also what it has missed")),
    disable: Options.boolean("disable").pipe(Options.withDescription("sends nothing until it is enabled")),
    expectedVersion,
    ...Connection.acting
  },
  ({ id, target, campaigns, concurrency, description, disable, enable, expectedVersion, maxAttempts, mode, onFailure,
    types, ...given }) =>
    withWebhooks(given, (client, connection) =>
      Effect.gen(function*() {
        if (enable && disable) return yield* usage("give --enable or --disable")
        const ids = yield* campaignsOf(campaigns)
        const names = parts(types)
        const change = {
          ...Option.isSome(target) ? { url: target.value } : {},
          ...Option.isSome(description) ? { description: description.value } : {},
          ...names === undefined ? {} : { types: { names: [...names] } },
          ...ids === undefined ? {} : { campaigns: { ids: [...ids] } },
          ...Option.isSome(mode) ? { mode: modes[mode.value] } : {},
          ...Option.isSome(onFailure) ? { onFailure: reactions[onFailure.value] } : {},
          ...Option.isSome(maxAttempts) ? { maxAttempts: maxAttempts.value } : {},
          ...Option.isSome(concurrency) ? { concurrency: concurrency.value } : {},
          ...enable || disable ? { enabled: enable } : {}
        }
        if (Object.keys(change).length === 0) return yield* usage("give what to change: see --help")
        const { webhook } = yield* client.updateWebhook({ id, expectedVersion: BigInt(expectedVersion), ...change })
        yield* showWebhook(connection, webhook)
      }))
).pipe(Command.withDescription("changes what is given of a webhook; enables or disables it"))

const remove = Command.make(
  "delete",
  { id: webhookId, expectedVersion, ...Connection.acting },
  ({ expectedVersion, id, ...given }) =>
    withWebhooks(given, (client, { json }) =>
      Effect.zipRight(
        client.deleteWebhook({ id, expectedVersion: BigInt(expectedVersion) }),
        show(json, { id, deleted: true }, () => `webhook ${id} is removed, with all that was known of its deliveries`)
      ))
).pipe(Command.withDescription("removes a webhook with all that is known of its deliveries"))

const test = Command.make(
  "trigger",
  {
    type: Args.text({ name: "type" }).pipe(Args.withDescription("e.g. coupon.issued")),
    id: Options.text("webhook").pipe(Options.withDescription("`coupon webhook list` shows it")),
    ...Connection.acting
  },
  ({ id, type, ...given }) =>
    withWebhooks(given, (client, { json }) =>
      Effect.gen(function*() {
        const reply = yield* client.testWebhook({ id, type })
        yield* show(json, Json.ofMessage(TestWebhookResponseSchema, reply), () =>
          Output.facts({
            delivered: reply.delivered ? "yes" : `no: ${reply.reason}`,
            status: reply.status === 0 ? undefined : reply.status,
            answer: reply.answer === "" ? undefined : reply.answer,
            took: `${reply.tookMillis} ms`
          }))
        if (!reply.delivered) {
          return yield* new CliFailure({
            exit: "UNSOUND",
            code: "NOT_DELIVERED",
            message: `the receiver did not take the example: ${reply.reason}`
          })
        }
      }))
).pipe(Command.withDescription("sends a webhook an example of an event, with `test` in its data"))

const rotate = Command.make(
  "rotate-secret",
  {
    id: webhookId,
    overlap: Options.text("overlap").pipe(
      Options.withDescription("how long the former secret stays valid, 0s to 168h"),
      Options.withDefault("24h")
    ),
    ...Connection.acting
  },
  ({ id, overlap, ...given }) =>
    withWebhooks(given, (client, { json, times }) =>
      Effect.gen(function*() {
        const parsed = DurationText.parse(overlap)
        if (Option.isNone(parsed)) return yield* usage("--overlap must be a duration such as 30m or 24h")
        const { formerSecretUntil, secret } = yield* client.rotateWebhookSecret({
          id,
          overlapSeconds: Math.round(Duration.toSeconds(parsed.value))
        })
        yield* show(json, { id, secret, formerSecretUntil }, () => secret)
        if (json) return
        yield* Console.error(`requests are signed by both until ${times.show(formerSecretUntil)}; keep the secret`)
      }))
).pipe(Command.withDescription("gives a webhook a new secret and prints it, only once"))

const campaign = Options.integer("campaign").pipe(Options.withDescription("the campaign's number"))

const replay = Command.make(
  "replay",
  {
    id: webhookId,
    campaign,
    after: Options.integer("after").pipe(
      Options.withDescription("the events after this sequence; 0: all"),
      Options.withDefault(0)
    ),
    ...Connection.acting
  },
  ({ after, campaign, id, ...given }) =>
    withWebhooks(given, (client, { json }) =>
      Effect.zipRight(
        client.replayWebhook({ id, campaignId: campaign, afterSequence: BigInt(after) }),
        show(json, { id, campaignId: campaign, after }, () =>
          `webhook ${id} gets the events of campaign ${campaign} after ${after} again`)
      ))
).pipe(Command.withDescription("delivers events of a campaign again, or leaves some out"))

const at = (position: WebhookPosition | undefined): string =>
  position === undefined ? "" : `${position.sequence}${position.number === 0 ? "" : `/${position.number}`}`

const limit = Options.integer("limit").pipe(Options.withDescription("how many at most"), Options.withDefault(100))

const attemptRow = ({ show: time }: Times) => (one: WebhookAttempt) => [
  time(one.at),
  one.campaignId,
  nameOf(WebhookAttempt_Result, one.result),
  `${at(one.from)} to ${at(one.to)}`,
  one.events,
  one.status === 0 ? "" : one.status,
  `${one.tookMillis} ms`,
  one.reason
]

const attempts = Command.make("attempts", { id: webhookId, limit, ...Connection.options }, ({ id, limit, ...given }) =>
  withWebhooks(given, (client, { json, times }) =>
    Effect.gen(function*() {
      yield* countOf("--limit", limit)
      const { attempts } = yield* client.listWebhookAttempts({ id, pageSize: limit })
      yield* show(json, attempts.map((one) => Json.ofMessage(WebhookAttemptSchema, one)), () =>
        attempts.length === 0 ? "there were no attempts" : Output.table(
          ["at", "campaign", "result", "events", "count", "status", "took", "reason"],
          attempts.map(attemptRow(times))
        ))
    }))).pipe(Command.withDescription("lists what deliveries have come to, the newest first"))

const parked = Command.make("parked", { id: webhookId, limit, ...Connection.options }, ({ id, limit, ...given }) =>
  withWebhooks(given, (client, { json, times }) =>
    Effect.gen(function*() {
      yield* countOf("--limit", limit)
      const { deliveries } = yield* client.listParkedDeliveries({ id, pageSize: limit })
      yield* show(json, deliveries.map((one) => Json.ofMessage(ParkedDeliverySchema, one)), () =>
        deliveries.length === 0 ? "nothing is set aside" : Output.table(
          ["id", "campaign", "events", "parked", "due", "reason"],
          deliveries.map((one) => [
            String(one.id),
            one.campaignId,
            `${at(one.from)} to ${at(one.to)}`,
            times.show(one.parkedAt),
            one.due ? "yes" : "",
            one.reason
          ])
        ))
    }))).pipe(Command.withDescription("lists what was set aside after --max-attempts, the oldest first"))

/** Deliveries were named that the webhook has not set aside. */
const notSetAside = (id: string, missing: number) =>
  new CliFailure({
    exit: "NOT_FOUND",
    code: table.RecordNotFound.message,
    message: `${table.RecordNotFound.message}: webhook ${id} has not set aside ` +
      (missing === 1 ? "one of these deliveries" : `${missing} of these deliveries`),
    hint: `\`coupon webhook parked ${id}\` lists what is set aside; what was delivered meanwhile is not there any more`
  })

const retry = Command.make(
  "retry",
  {
    id: webhookId,
    deliveries: Args.text({ name: "delivery" }).pipe(Args.withDescription("of `coupon webhook parked`"), Args.repeated),
    all: Options.boolean("all").pipe(Options.withDescription("all that are set aside")),
    ...Connection.acting
  },
  ({ all, deliveries, id, ...given }) =>
    withWebhooks(given, (client, { json }) =>
      Effect.gen(function*() {
        if (all === deliveries.length > 0) return yield* usage("give deliveries, or --all")
        if (deliveries.some((one) => !/^[1-9]\d{0,17}$/.test(one))) return yield* usage("<delivery> must be a number")
        const deliveryIds = [...new Set(deliveries)].map(BigInt)
        const { count } = yield* client.retryParkedDeliveries({ id, all, deliveryIds })
        const words = count === 1 ? "1 is sent again" : `${count} are sent again`
        if (all || count > 0) yield* show(json, { id, count }, () => words)
        if (!all && count < deliveryIds.length) yield* notSetAside(id, deliveryIds.length - count)
      }))
).pipe(Command.withDescription("sends again what was set aside"))

export const webhook = Command.make("webhook").pipe(
  Command.withDescription("makes, shows, tests and repairs webhooks (changes need the role OPERATOR)"),
  Command.withSubcommands([
    create, get, list, update, remove, test, rotate, replay, attempts, parked, retry
  ])
)
