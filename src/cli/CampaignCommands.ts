import { toJson } from "@bufbuild/protobuf"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import {
  CampaignStatus,
  CreateCampaignResponseSchema,
  type GetCampaignResponse,
  GetCampaignResponseSchema
} from "../transport/gen/coupon/v1/coupon_pb.ts"
import { campaignId, show, withPublic } from "./Commands.ts"
import * as Connection from "./Connection.ts"
import * as Instant from "./Instant.ts"
import * as Output from "./Output.ts"
import type { PublicClient } from "./PublicClient.ts"

const name = Options.text("name").pipe(Options.withDescription("1 to 100 characters"))
const limit = Options.integer("limit").pipe(Options.withDescription("how many coupons there are, 1 to 10,000,000"))
const start = Options.text("start").pipe(Options.withDescription("when claims open: 2025-06-25T00:00:00Z, now, +10m, +2h, +1d"))
const end = Options.text("end").pipe(Options.withDescription("when claims close; likewise"))

const statusWord = (status: CampaignStatus): string =>
  Object.entries(CampaignStatus).find(([, value]) => value === status)?.[0] ?? String(status)

const create = Command.make(
  "create",
  { name, limit, start: Options.withDefault(start, "now"), end: Options.optional(end), ...Connection.options },
  ({ end, limit, name, start, ...given }) =>
    withPublic(given, (client, { json }) =>
      Effect.gen(function*() {
        const startTime = yield* Instant.parse("--start", start)
        const endTime = Option.isNone(end) ? "" : yield* Instant.parse("--end", end.value)
        const reply = yield* client.call(
          (api, options) => api.createCampaign({ name, couponLimit: BigInt(limit), startTime, endTime }, options),
          { writes: true }
        )
        yield* show(json, toJson(CreateCampaignResponseSchema, reply, { alwaysEmitImplicit: true }), () => `campaign ${reply.campaignId}`)
      }))
).pipe(Command.withDescription("opens a campaign; not safe to repeat"))

/** Every code, page by page. */
const codesOf = (client: PublicClient, campaignId: number, first: GetCampaignResponse) =>
  Effect.gen(function*() {
    let page = first
    for (;;) {
      for (const code of page.issuedCoupons) yield* Output.line(Output.printable(code))
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
        if (codes) return yield* codesOf(client, campaignId, campaign)
        // A page of codes says nothing of the campaign: they are there with --codes.
        const { issuedCoupons: _, issuedCouponsTruncated: __, nextPageToken: ___, ...told } = toJson(GetCampaignResponseSchema, campaign, {
          alwaysEmitImplicit: true
        }) as Record<string, unknown>
        yield* show(json, told, () =>
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
          }))
      }))
).pipe(Command.withDescription("shows a campaign"))

export const campaign = Command.make("campaign").pipe(
  Command.withDescription("opens, shows and changes campaigns"),
  Command.withSubcommands([create, get])
)
