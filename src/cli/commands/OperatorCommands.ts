import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { VerifiedCampaign, VerifyEvent } from "../../contract/operator/Verification.ts"
import * as VerificationReport from "../VerificationReport.ts"
import { CliFailure, cutShort } from "../CliFailure.ts"
import { campaignId, show, withOperator } from "./Commands.ts"
import * as Confirmation from "../line/Confirmation.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"

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
    yes: Confirmation.yes,
    ...Connection.acting
  },
  ({ campaignId, discard, yes, ...given }) =>
    withOperator(given, (client, { json }) =>
      Effect.gen(function*() {
        const what = `the gate of campaign ${campaignId} is cleared first, with what it holds of claims under way`
        if (discard) yield* Confirmation.confirm({ what, word: String(campaignId), yes, json })
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
