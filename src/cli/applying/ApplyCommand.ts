import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"
import { text as readAll } from "node:stream/consumers"
import { CliFailure, ofCall, usage } from "../CliFailure.ts"
import { withPublic } from "../commands/Commands.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"
import * as CampaignFile from "./CampaignFile.ts"
import * as CampaignPlan from "./CampaignPlan.ts"

const file = Options.text("file").pipe(
  Options.withAlias("f"),
  Options.withDescription("YAML, a campaign a document; - is standard input")
)

const read = (name: string): Effect.Effect<string, CliFailure> =>
  Effect.tryPromise({
    try: () => name === "-" ? readAll(process.stdin) : readFile(name, "utf8"),
    catch: (error) => usage(`${name} cannot be read: ${(error as Error).message}`)
  })

/** A value as YAML would have it in one line. */
const shown = (value: unknown): string =>
  value === null || value === undefined ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value)

const actionOf = (plan: CampaignPlan.Plan): "create" | "update" | "none" =>
  plan.present === undefined ? "create" : plan.differences.length > 0 ? "update" : "none"

const words = { create: ["would be created", "created"], update: ["would change", "changed"] } as const

/** `id`: the campaign's, if there is one. `done`: the plan was carried out. */
const print = (json: boolean, plan: CampaignPlan.Plan, id: number | undefined, done: boolean): Effect.Effect<void> => {
  const action = actionOf(plan)
  const { differences, wanted: { name } } = plan
  if (json) return Output.json({ campaignId: id ?? null, name, action, done, differences })
  const outcome = action === "none" ? "unchanged" : words[action][done ? 1 : 0]
  const lines = [
    `campaign ${id === undefined ? "" : `${id} `}${name}: ${outcome}`,
    ...differences.map(({ field, from, to }) => `  ${field}: ${shown(from)} -> ${shown(to)}`)
  ]
  return Effect.forEach(lines, (line) => Output.line(Output.printable(line)), { discard: true })
}

export const apply = Command.make(
  "apply",
  {
    file,
    dryRun: Options.boolean("dry-run").pipe(
      Options.withDescription("shows what would change, changes nothing, and ends with 2 if anything would")
    ),
    allowEnd: Options.boolean("allow-end").pipe(
      Options.withDescription("lets a status of ended end its campaign, for good")
    ),
    allowPastEnd: Options.boolean("allow-past-end").pipe(
      Options.withDescription("accepts an endTime that has passed already")
    ),
    ...Connection.acting
  },
  ({ allowEnd, allowPastEnd, dryRun, file, ...given }) =>
    withPublic(given, (client, { json }) =>
      Effect.gen(function*() {
        const wanted = yield* CampaignFile.parse(yield* read(file), file === "-" ? "standard input" : file)
        // All of them are looked at before one is changed.
        const plans = yield* Effect.forEach(wanted, (one) => CampaignPlan.make(client, one, allowEnd))
        const changing = plans.filter(CampaignPlan.changes)
        for (const plan of plans) {
          if (dryRun || !CampaignPlan.changes(plan)) {
            yield* print(json, plan, plan.present?.id, false)
            continue
          }
          const id = yield* Effect.mapError(CampaignPlan.carryOut(client, plan, allowPastEnd), (failure) => {
            const { code, exit, hint, message } = ofCall(failure)
            return new CliFailure({ code, exit, hint, message: `campaign ${plan.wanted.name}: ${message}` })
          })
          yield* print(json, plan, id, true)
        }
        if (dryRun && changing.length > 0) {
          return yield* new CliFailure({
            exit: "USAGE",
            code: "WOULD_CHANGE",
            message: `${Output.counted(changing.length, "campaign")} would change`
          })
        }
      }))
).pipe(Command.withDescription("makes campaigns what a file says; run again, it changes nothing"))
