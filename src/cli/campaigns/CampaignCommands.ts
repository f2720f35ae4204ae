import type { JsonObject } from "@bufbuild/protobuf"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import {
  type Campaign,
  CampaignPhase,
  CampaignSchema,
  type GetCampaignResponse,
  GetCampaignResponseSchema
} from "../../contract/gen/coupon/v1/coupon_pb.ts"
import { CliFailure, usage } from "../CliFailure.ts"
import { campaignId, countOf, listLimit, show, withOperator, withPublic } from "../commands/Commands.ts"
import { allowPastEnd, end, limit, name, start } from "./CampaignOptions.ts"
import { factsOf, tableOf } from "./CampaignText.ts"
import * as CodeOptions from "./CodeOptions.ts"
import { create } from "./CreateCommand.ts"
import * as ValidityOptions from "./ValidityOptions.ts"
import * as CampaignFile from "../applying/CampaignFile.ts"
import * as Confirmation from "../line/Confirmation.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"
import * as Json from "../values/Json.ts"
import { timeline } from "./TimelineCommand.ts"
import type { CallFailure, CouponClient } from "../../client/CouponClient.ts"

const expectedVersion = Options.integer("expected-version").pipe(
  Options.withDescription("only if the campaign is still at this version, which `campaign get` shows"),
  Options.optional
)

const phases = {
  scheduled: [CampaignPhase.SCHEDULED],
  open: [CampaignPhase.OPEN],
  "sold-out": [CampaignPhase.SOLD_OUT],
  paused: [CampaignPhase.PAUSED],
  ended: [CampaignPhase.ENDED]
} as const

/** The older words. A campaign past its end time counts as ended. */
const statusPhases = {
  active: [CampaignPhase.SCHEDULED, CampaignPhase.OPEN, CampaignPhase.SOLD_OUT],
  paused: phases.paused,
  ended: phases.ended
} as const

const wordsOf = <Words extends object>(words: Words) =>
  Object.keys(words) as [keyof Words & string, ...Array<keyof Words & string>]

/** Every code, page by page. */
const codesOf = (client: CouponClient["Type"], campaignId: number, first: GetCampaignResponse, json: boolean) =>
  Effect.gen(function*() {
    let page = first
    if (page.issuedCouponsWithheld) {
      return yield* new CliFailure({
        exit: "ACCESS",
        code: "UNAUTHENTICATED",
        message: "the service lists codes to callers with an API key alone: set COUPON_API_KEY"
      })
    }
    for (;;) {
      for (const code of page.issuedCoupons) yield* json ? Output.json({ code }) : Output.line(Output.printable(code))
      const pageToken = page.nextPageToken
      if (pageToken === "") return
      page = yield* client.getCampaign({ campaignId, pageToken })
    }
  })

/** Without the page of codes: `--codes` prints all of them. */
const withoutCodes = (answer: JsonObject): JsonObject => {
  const { issuedCoupons: _, issuedCouponsTruncated: __, issuedCouponsWithheld: ___, ...others } = answer
  const { nextPageToken: ____, ...rest } = others
  return rest
}

const get = Command.make(
  "get",
  {
    campaignId,
    codes: Options.boolean("codes").pipe(
      Options.withDescription("print every issued code instead, one a line, in order of issue")
    ),
    output: Options.choice("output", ["text", "json", "yaml"]).pipe(
      Options.withAlias("o"),
      Options.withDescription("yaml: a file for `coupon apply`"),
      Options.withDefault("text")
    ),
    ...Connection.options
  },
  ({ campaignId, codes, output, ...given }) =>
    withPublic({ ...given, json: given.json || output === "json" }, (client, { json, times }) =>
      Effect.gen(function*() {
        if (output === "yaml" && (codes || json)) return yield* usage("--output yaml excludes --codes and --json")
        const campaign = yield* client.getCampaign({ campaignId, pageSize: codes ? 0 : 1 })
        if (codes) return yield* codesOf(client, campaignId, campaign, json)
        if (output === "yaml") return yield* Output.line(yield* CampaignFile.write(campaign))
        const answer = Json.ofMessage(GetCampaignResponseSchema, campaign)
        yield* show(json, withoutCodes(answer), () => factsOf(campaign, times))
      }))
).pipe(Command.withDescription("shows a campaign"))

/** The answer of every change: the campaign as it is then. */
const changed = (
  { json, times }: Connection.Connection,
  campaign: Campaign | undefined
): Effect.Effect<void, CliFailure> =>
  campaign === undefined
    ? Effect.fail(new CliFailure({ exit: "FAILED", code: "UNEXPECTED", message: "the answer holds no campaign" }))
    : show(json, Json.ofMessage(CampaignSchema, campaign), () => factsOf(campaign, times))

const versionOf = (version: Option.Option<number>): bigint => BigInt(Option.getOrElse(version, () => 0))

/**
 * A limit as it is shown, without slots that were returned, is sent with these. Where there are some it is meant for
 * the version that was read, as another revocation may follow.
 */
const limitOnWire = (
  client: CouponClient["Type"],
  campaignId: number,
  limit: Option.Option<number>,
  expectedVersion: bigint
) =>
  Effect.gen(function*() {
    if (Option.isNone(limit)) return { expectedVersion }
    const { returned, version } = yield* client.getCampaign({ campaignId, pageSize: 1 })
    if (returned === 0n) return { couponLimit: BigInt(limit.value), expectedVersion }
    const expected = expectedVersion === 0n ? version : expectedVersion
    return { couponLimit: BigInt(limit.value) + returned, expectedVersion: expected }
  })

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
    pool: CodeOptions.pool,
    ...CodeOptions.options,
    ...ValidityOptions.options,
    noValidity: Options.boolean("no-validity").pipe(
      Options.withDescription("coupons that are issued from now on do not expire")
    ),
    ...Connection.acting
  },
  ({ allowPastEnd, campaignId, end, expectedVersion, limit, name, noEnd, noValidity, pool, start, ...given }) =>
    withPublic(given, (client, connection) =>
      Effect.gen(function*() {
        const { times } = connection
        if (noEnd && Option.isSome(end)) return yield* usage("--end and --no-end exclude one another")
        if (pool && CodeOptions.isGiven(given)) {
          return yield* usage("--pool excludes --pattern, --alphabet, --characters and --check")
        }
        if (noValidity && ValidityOptions.setsValidity(given)) {
          return yield* usage("--no-validity excludes --valid-until, --valid-for and --zone")
        }
        const keepsCodes = !pool && !CodeOptions.isGiven(given)
        const keepsValidity = !noValidity && !ValidityOptions.isGiven(given)
        const keepsOthers = !noEnd && [name, limit, start, end].every((of) => Option.isNone<string | number>(of))
        if (keepsCodes && keepsValidity && keepsOthers) {
          return yield* usage(
            "say what to change: --name, --limit, --start, --end, --no-end, --pattern, --pool, --valid-until, " +
              "--valid-for, --no-validity or --undo-window"
          )
        }
        const raised = yield* limitOnWire(client, campaignId, limit, versionOf(expectedVersion))
        // Fields that are absent stay as they are.
        const request = {
          campaignId,
          allowPastEnd,
          ...CodeOptions.toWire(given),
          codeSource: CodeOptions.sourceOf(pool),
          ...yield* ValidityOptions.toWire(given, times),
          ...noValidity ? { couponValidity: {} } : {},
          ...Option.isSome(name) ? { name: name.value } : {},
          ...raised,
          ...Option.isSome(start) ? { startTime: yield* times.parse("--start", start.value) } : {},
          ...Option.isSome(end) ? { endTime: yield* times.parse("--end", end.value) } : noEnd ? { endTime: "" } : {}
        }
        const { campaign } = yield* client.updateCampaign(request)
        yield* changed(connection, campaign)
      }))
).pipe(
  Command.withDescription("changes name, limit, times, codes, validity or undo window; the rest stays as it is")
)

/** A change of status that can be undone. */
const turn = (word: "pause" | "resume", description: string) =>
  Command.make(
    word,
    { campaignId, expectedVersion, ...Connection.acting },
    ({ campaignId, expectedVersion, ...given }) =>
      withPublic(given, (client, connection) => {
        const request = { campaignId, expectedVersion: versionOf(expectedVersion) }
        const reply: Effect.Effect<{ readonly campaign?: Campaign | undefined }, CallFailure> =
          client[`${word}Campaign`](request)
        return Effect.flatMap(reply, ({ campaign }) => changed(connection, campaign))
      })
  ).pipe(Command.withDescription(description))

const ending = Command.make(
  "end",
  { campaignId, expectedVersion, yes: Confirmation.yes, ...Connection.acting },
  ({ campaignId, expectedVersion, yes, ...given }) =>
    withPublic(given, (client, connection) =>
      Effect.gen(function*() {
        if (!yes) {
          const { name } = yield* client.getCampaign({ campaignId, pageSize: 1 })
          const what = `campaign ${campaignId} ${Output.printable(name)} ends for good`
          yield* Confirmation.confirm({ what, word: name, yes, json: connection.json })
        }
        const { campaign } = yield* client.endCampaign({ campaignId, expectedVersion: versionOf(expectedVersion) })
        yield* changed(connection, campaign)
      }))
).pipe(Command.withDescription("ends a campaign for good, after its name was typed, or with --yes"))

const list = Command.make(
  "list",
  {
    phase: Options.choice("phase", wordsOf(phases)).pipe(
      Options.withDescription("only campaigns that are in this phase now"),
      Options.optional
    ),
    status: Options.choice("status", wordsOf(statusPhases)).pipe(
      Options.withDescription("only campaigns that have ended, are paused, or are neither"),
      Options.optional
    ),
    prefix: Options.text("prefix").pipe(
      Options.withDescription("only campaigns whose name begins with this"),
      Options.withDefault("")
    ),
    limit: Options.integer("limit").pipe(
      Options.withDescription("how many at most, the newest first"),
      Options.withDefault(100)
    ),
    ...Connection.options
  },
  ({ limit, phase, prefix, status, ...given }) =>
    withPublic(given, (client, { json, times }) =>
      Effect.gen(function*() {
        if (limit < 1) return yield* usage("--limit must be at least 1")
        if (Option.isSome(phase) && Option.isSome(status)) {
          return yield* usage("--phase and --status exclude one another")
        }
        const wanted: Array<CampaignPhase> = Option.isSome(phase)
          ? [...phases[phase.value]]
          : Option.isSome(status)
          ? [...statusPhases[status.value]]
          : []
        const campaigns: Array<Campaign> = []
        let pageToken = ""
        do {
          const pageSize = Math.min(1_000, limit - campaigns.length)
          const page = yield* client.listCampaigns({ phases: wanted, namePrefix: prefix, pageSize, pageToken })
          campaigns.push(...page.campaigns)
          pageToken = page.nextPageToken
        } while (pageToken !== "" && campaigns.length < limit)
        if (json) {
          const shown = campaigns.map((one) => Json.ofMessage(CampaignSchema, one))
          return yield* Output.json({ campaigns: shown, more: pageToken !== "" })
        }
        const isFiltered = prefix !== "" || wanted.length > 0
        yield* Output.line(
          campaigns.length > 0
            ? tableOf(campaigns, times)
            : isFiltered
            ? "there are no such campaigns"
            : "there are no campaigns yet"
        )
        if (pageToken !== "") yield* Output.line(`there are more: --limit ${limit * 2}, or --phase, or --prefix`)
      }))
).pipe(Command.withDescription("lists campaigns, the newest first"))

const history = Command.make(
  "history",
  {
    campaignId,
    limit: listLimit,
    ...Connection.options
  },
  ({ campaignId, limit, ...given }) =>
    withOperator(given, (client, { json, times }) =>
      Effect.gen(function*() {
        yield* countOf("--limit", limit)
        const events = yield* client.Phases({ campaignId, limit })
        yield* show(json, events, () =>
          events.length === 0 ? "nothing was recorded yet" : Output.table(
            ["event", "phase", "reached at", "noticed at"],
            events.map(({ at, noticedAt, phase, sequence }) =>
              [sequence, phase, times.show(at), times.show(noticedAt)])
          ))
      }))
).pipe(Command.withDescription("lists the phases that a campaign has reached, the newest first"))

export const campaign = Command.make("campaign").pipe(
  Command.withDescription("opens, shows and changes campaigns"),
  Command.withSubcommands([
    create,
    get,
    list,
    history,
    timeline,
    update,
    turn("pause", "stops issuing; once it answers, nothing more is issued"),
    turn("resume", "lets a paused campaign issue again"),
    ending
  ])
)
