import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { VerifiedCampaign, VerifyEvent } from "../../contract/OperatorRpcs.ts"
import * as VerificationReport from "../VerificationReport.ts"
import { CliFailure, usage } from "../CliFailure.ts"
import { campaignId, show, withOperator } from "./Commands.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"

/** An answer that ends without its last event was cut short: its verdict would not cover all campaigns. */
const cutShort = new CliFailure({
  exit: "UNAVAILABLE",
  code: "UNREACHABLE",
  message: "the answer ended before it was complete",
  hint: "the instance may have stopped: try again"
})

const verification = <const Name extends string>(name: Name) => Command.make(
  name,
  { campaignId: Args.optional(campaignId), ...Connection.options },
  ({ campaignId, ...given }) =>
    withOperator(given, (client, { json }) =>
      Effect.gen(function*() {
        const rows: Array<typeof VerifiedCampaign.Type> = []
        let done: Extract<typeof VerifyEvent.Type, { readonly _tag: "Done" }> | undefined
        yield* Stream.runForEach(
          client.Audit(Option.isSome(campaignId) ? { campaignId: campaignId.value } : {}),
          (event) => {
            if (event._tag === "Done") done = event
            else rows.push(event.row)
            return json ? Output.json(event) : Output.progress(`${Output.counted(rows.length, "campaign")} looked at`)
          }
        )
        if (!json) yield* Output.progressDone
        if (done === undefined) return yield* cutShort
        if (!json) {
          if (rows.length > 0) yield* Output.line(VerificationReport.table(rows))
          for (const violation of done.violations) yield* Output.line(VerificationReport.line(violation))
        }
        if (done.violations.length > 0) {
          return yield* new CliFailure({
            exit: "UNSOUND",
            code: "VIOLATIONS",
            message: `${Output.counted(done.violations.length, "violation")} of the protocol's invariants`,
            hint: done.violations.some(({ repairable }) => repairable)
              ? "`coupon rebuild` repairs a gate that disagrees with the ledger; it never changes the ledger"
              : undefined
          })
        }
        if (!json) yield* Output.line(`${Output.counted(done.campaigns, "campaign")}, every invariant holds`)
      }))
)

export const verify = verification("verify").pipe(
  Command.withDescription(
    "checks campaigns against the protocol's invariants, while the service runs (a second a million coupons)"
  )
)

/** The former name of `verify`. */
export const audit = verification("audit").pipe(Command.withDescription("the former name of verify"))

export const rebuild = Command.make(
  "rebuild",
  {
    campaignId,
    discard: Options.boolean("discard").pipe(
      Options.withDescription("clear the gate first, also of reservations of claims that are under way")
    ),
    ...Connection.options
  },
  ({ campaignId, discard, ...given }) =>
    withOperator(given, (client, { json }) =>
      Effect.gen(function*() {
        let finished = false
        yield* Stream.runForEach(client.RebuildGate({ campaignId, discard }), (event) => {
          if (event._tag === "Done") finished = true
          if (json) return Output.json(event)
          switch (event._tag) {
            case "Started":
              return Output.progress(`rebuilding the gate of campaign ${event.campaignId}: ${event.coupons} coupons`)
            case "Progress":
              return Output.progress(
                `${event.coupons} of ${event.of} coupons (${Math.floor(100 * event.coupons / Math.max(1, event.of))} %)`
              )
            case "Waiting":
              return Output.progress("another instance rebuilds it")
            case "Done": {
              const took = Output.duration(event.tookMillis)
              return Effect.zipRight(
                Output.progressDone,
                Output.line(`the gate of campaign ${campaignId} is complete: ${event.coupons} holders, in ${took}`)
              )
            }
          }
        })
        if (!finished) return yield* cutShort
      }))
).pipe(Command.withDescription("rebuilds a campaign's gate from the ledger, while it serves (role OPERATOR)"))

export const settings = Command.make(
  "settings",
  {
    changed: Options.boolean("changed").pipe(Options.withDescription("only those that are not at their default")),
    ...Connection.options
  },
  ({ changed, ...given }) =>
    withOperator(given, (client, { json }) =>
      Effect.gen(function*() {
        const all = yield* client.Settings()
        const shown = changed ? all.filter(({ isDefault }) => !isDefault) : all
        yield* show(json, shown, () =>
          Output.table(
            ["setting", "value", "default"],
            shown.map(({ default: initial, name, value }) => [name, value || "-", initial || "-"])
          ))
      }))
).pipe(Command.withDescription("shows the settings in effect; secrets stay secret"))

export const log = Command.make(
  "log",
  {
    limit: Options.integer("limit").pipe(Options.withDescription("how many, 1 to 1000"), Options.withDefault(50)),
    campaign: Options.integer("campaign").pipe(Options.withDescription("only acts on this campaign"), Options.optional),
    before: Options.integer("before").pipe(Options.withDescription("only acts with a smaller id"), Options.optional),
    ...Connection.options
  },
  ({ before, campaign, limit, ...given }) =>
    withOperator(given, (client, { json }) =>
      Effect.gen(function*() {
        if (limit < 1 || limit > 1_000) return yield* usage("--limit must be 1 to 1000")
        const acts = yield* client.AuditLog({
          limit,
          ...Option.isSome(before) ? { beforeId: before.value } : {},
          ...Option.isSome(campaign) ? { campaignId: campaign.value } : {}
        })
        yield* show(json, acts, () =>
          acts.length === 0 ? "nothing was recorded" : Output.table(
            ["id", "at", "who", "what", "campaign", "change"],
            acts.map(({ action, actor, after, at, before, campaignId, id }) =>
              [id, Output.time(at), actor, action, campaignId ?? "", change(before, after)])
          ))
      }))
).pipe(Command.withDescription("lists administrative acts, the newest first: who, what, before, after"))

const fields = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value as Readonly<Record<string, unknown>> : {}

const brief = (value: unknown): string => {
  const text = typeof value === "string" ? value : JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

/** The fields that differ; `--json` has both records in full. */
const change = (before: unknown, after: unknown): string => {
  const [was, is] = [fields(before), fields(after)]
  return [...new Set([...Object.keys(was), ...Object.keys(is)])].flatMap((name) => {
    const [from, to] = [was[name] ?? undefined, is[name] ?? undefined]
    if (JSON.stringify(from) === JSON.stringify(to)) return []
    const now = to === undefined ? "none" : brief(to)
    return [from === undefined ? `${name} ${now}` : `${name} ${brief(from)} -> ${now}`]
  }).join(", ")
}
