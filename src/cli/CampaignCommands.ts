import { toJson } from "@bufbuild/protobuf"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import {
  type Campaign,
  CampaignSchema,
  CampaignStatus,
  CreateCampaignResponseSchema,
  type GetCampaignResponse,
  GetCampaignResponseSchema,
  ListCampaignsResponseSchema
} from "../transport/gen/coupon/v1/coupon_pb.ts"
import { CliFailure } from "./CliFailure.ts"
import { campaignId, show, withPublic } from "./Commands.ts"
import * as Connection from "./Connection.ts"
import * as Instant from "./Instant.ts"
import * as Output from "./Output.ts"
import type { PublicClient } from "./PublicClient.ts"

const name = Options.text("name").pipe(Options.withDescription("1 to 100 characters"))
const limit = Options.integer("limit").pipe(Options.withDescription("how many coupons there are, 1 to 10,000,000"))
const start = Options.text("start").pipe(Options.withDescription("when claims open: 2025-06-25T00:00:00Z, now, +10m, +2h, +1d"))
const end = Options.text("end").pipe(Options.withDescription("when claims close; likewise"))
const allowPastEnd = Options.boolean("allow-past-end").pipe(
  Options.withDescription("take an --end that has passed already: the campaign is over")
)
const expectedVersion = Options.integer("expected-version").pipe(
  Options.withDescription("only if the campaign is at this version, as `campaign get` shows it: nobody has changed it meanwhile"),
  Options.optional
)

const statusWord = (status: CampaignStatus): string =>
  Object.entries(CampaignStatus).find(([, value]) => value === status)?.[0] ?? String(status)

type Shown = Pick<
  Campaign,
  "id" | "name" | "status" | "currentCoupon" | "couponLimit" | "startTime" | "endTime" | "version" | "createdAt" | "updatedAt"
>

const factsOf = (campaign: Shown): string =>
  Output.facts({
    campaign: campaign.id,
    name: campaign.name,
    status: statusWord(campaign.status),
    issued: `${campaign.currentCoupon} of ${campaign.couponLimit}`,
    start: campaign.startTime,
    end: campaign.endTime,
    version: String(campaign.version),
    created: campaign.createdAt,
    updated: campaign.updatedAt
  })

const create = Command.make(
  "create",
  { name, limit, start: Options.withDefault(start, "now"), end: Options.optional(end), allowPastEnd, ...Connection.options },
  ({ allowPastEnd, end, limit, name, start, ...given }) =>
    withPublic(given, (client, { json }) =>
      Effect.gen(function*() {
        const startTime = yield* Instant.parse("--start", start)
        const endTime = Option.isNone(end) ? "" : yield* Instant.parse("--end", end.value)
        const reply = yield* client.call(
          (api, options) => api.createCampaign({ name, couponLimit: BigInt(limit), startTime, endTime, allowPastEnd }, options),
          { writes: true }
        )
        yield* show(json, toJson(CreateCampaignResponseSchema, reply, { alwaysEmitImplicit: true }), () => `campaign ${reply.campaignId}`)
      }))
).pipe(Command.withDescription("opens a campaign; not safe to repeat"))

/** Every code, page by page. */
const codesOf = (client: PublicClient, campaignId: number, first: GetCampaignResponse, json: boolean) =>
  Effect.gen(function*() {
    let page = first
    for (;;) {
      for (const code of page.issuedCoupons) yield* json ? Output.json({ code }) : Output.line(Output.printable(code))
      const pageToken = page.nextPageToken
      if (pageToken === "") return
      page = yield* client.call((api, options) => api.getCampaign({ campaignId, pageToken }, options))
    }
  })

const get = Command.make(
  "get",
  {
    campaignId,
    codes: Options.boolean("codes").pipe(Options.withDescription("print every issued code instead, one a line, in order of issue")),
    ...Connection.options
  },
  ({ campaignId, codes, ...given }) =>
    withPublic(given, (client, { json }) =>
      Effect.gen(function*() {
        const campaign = yield* client.call((api, options) => api.getCampaign({ campaignId, pageSize: codes ? 0 : 1 }, options))
        if (codes) return yield* codesOf(client, campaignId, campaign, json)
        // A page of codes says nothing of the campaign: they are there with --codes.
        const { issuedCoupons: _, issuedCouponsTruncated: __, nextPageToken: ___, ...told } = toJson(GetCampaignResponseSchema, campaign, {
          alwaysEmitImplicit: true
        }) as Record<string, unknown>
        yield* show(json, told, () => factsOf(campaign))
      }))
).pipe(Command.withDescription("shows a campaign"))

/** The answer of every change: the campaign as it is then. */
const changed = (json: boolean, campaign: Campaign | undefined): Effect.Effect<void, CliFailure> =>
  campaign === undefined
    ? Effect.fail(new CliFailure({ exit: "FAILED", code: "UNEXPECTED", message: "the answer holds no campaign" }))
    : show(json, toJson(CampaignSchema, campaign, { alwaysEmitImplicit: true }), () => factsOf(campaign))

const versionOf = (version: Option.Option<number>): bigint => BigInt(Option.getOrElse(version, () => 0))

const update = Command.make(
  "update",
  {
    campaignId,
    name: Options.optional(name),
    limit: Options.optional(Options.withDescription(limit, "up, or down to what is issued")),
    start: Options.optional(start),
    end: Options.optional(end),
    noEnd: Options.boolean("no-end").pipe(Options.withDescription("the campaign has no end")),
    allowPastEnd,
    expectedVersion,
    ...Connection.options
  },
  ({ allowPastEnd, campaignId, end, expectedVersion, limit, name, noEnd, start, ...given }) =>
    withPublic(given, (client, { json }) =>
      Effect.gen(function*() {
        const usage = (message: string) => new CliFailure({ exit: "USAGE", code: "USAGE", message })
        if (noEnd && Option.isSome(end)) return yield* usage("--end and --no-end exclude one another")
        if (!noEnd && [name, limit, start, end].every((option) => Option.isNone<string | number>(option))) {
          return yield* usage("say what to change: --name, --limit, --start, --end or --no-end")
        }
        // Fields that are absent stay as they are.
        const request = {
          campaignId,
          expectedVersion: versionOf(expectedVersion),
          allowPastEnd,
          ...Option.isSome(name) ? { name: name.value } : {},
          ...Option.isSome(limit) ? { couponLimit: BigInt(limit.value) } : {},
          ...Option.isSome(start) ? { startTime: yield* Instant.parse("--start", start.value) } : {},
          ...Option.isSome(end) ? { endTime: yield* Instant.parse("--end", end.value) } : noEnd ? { endTime: "" } : {}
        }
        const { campaign } = yield* client.call((api, options) => api.updateCampaign(request, options), { writes: true })
        yield* changed(json, campaign)
      }))
).pipe(Command.withDescription("changes name, limit, start or end; what is not given stays as it is"))

/** A change of status, which has no settings of its own. */
const turn = (word: "pause" | "resume" | "end", description: string) =>
  Command.make(word, { campaignId, expectedVersion, ...Connection.options }, ({ campaignId, expectedVersion, ...given }) =>
    withPublic(given, (client, { json }) => {
      const request = { campaignId, expectedVersion: versionOf(expectedVersion) }
      const asked = client.call<{ readonly campaign?: Campaign | undefined }>((api, options) => api[`${word}Campaign`](request, options), { writes: true })
      return Effect.flatMap(asked, ({ campaign }) => changed(json, campaign))
    })).pipe(Command.withDescription(description))

const list = Command.make(
  "list",
  {
    status: Options.choice("status", ["active", "paused", "ended"]).pipe(Options.withDescription("only campaigns of this status"), Options.optional),
    prefix: Options.text("prefix").pipe(Options.withDescription("only campaigns whose name begins with this"), Options.withDefault("")),
    limit: Options.integer("limit").pipe(Options.withDescription("how many at most, the newest first"), Options.withDefault(100)),
    ...Connection.options
  },
  ({ limit, prefix, status, ...given }) =>
    withPublic(given, (client, { json }) =>
      Effect.gen(function*() {
        if (limit < 1) return yield* new CliFailure({ exit: "USAGE", code: "USAGE", message: "--limit must be at least 1" })
        const wanted = Option.match(status, {
          onNone: () => CampaignStatus.UNSPECIFIED,
          onSome: (word) => CampaignStatus[word.toUpperCase() as "ACTIVE" | "PAUSED" | "ENDED"]
        })
        const campaigns: Array<Campaign> = []
        let pageToken = ""
        do {
          const pageSize = Math.min(1_000, limit - campaigns.length)
          const page = yield* client.call((api, options) =>
            api.listCampaigns({ status: wanted, namePrefix: prefix, pageSize, pageToken }, options))
          campaigns.push(...page.campaigns)
          pageToken = page.nextPageToken
        } while (pageToken !== "" && campaigns.length < limit)
        if (json) {
          const { campaigns: shown } = toJson(ListCampaignsResponseSchema, { $typeName: "coupon.v1.ListCampaignsResponse", campaigns, nextPageToken: "" }, {
            alwaysEmitImplicit: true
          }) as { readonly campaigns: unknown }
          return yield* Output.json({ campaigns: shown, more: pageToken !== "" })
        }
        yield* Output.line(
          campaigns.length === 0 ? prefix === "" && Option.isNone(status) ? "there are no campaigns yet" : "there are no such campaigns" : Output.table(
            ["campaign", "name", "status", "issued", "limit", "start", "end", "version"],
            campaigns.map((c) => [c.id, c.name, statusWord(c.status), Number(c.currentCoupon), Number(c.couponLimit), c.startTime, c.endTime, Number(c.version)])
          )
        )
        if (pageToken !== "") yield* Output.line(`there are more: --limit ${limit * 2}, or --status, or --prefix`)
      }))
).pipe(Command.withDescription("lists campaigns, the newest first"))

export const campaign = Command.make("campaign").pipe(
  Command.withDescription("opens, shows and changes campaigns"),
  Command.withSubcommands([
    create,
    get,
    list,
    update,
    turn("pause", "stops issuing; once it answers, nothing more is issued"),
    turn("resume", "lets a paused campaign issue again"),
    turn("end", "ends a campaign for good")
  ])
)
