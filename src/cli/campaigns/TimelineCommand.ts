import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import type { TimelineEntry } from "../../contract/operator/Timeline.ts"
import { campaignId, countOf, listLimit, show, withOperator } from "../commands/Commands.ts"
import * as Connection from "../Connection.ts"
import { changeText } from "../commands/LogCommand.ts"
import * as Output from "../Output.ts"
import type { Times } from "../values/Times.ts"

const cellsOf = ({ show: at }: Times) => (entry: typeof TimelineEntry.Type) => {
  if (entry._tag === "Phase") return [at(entry.reached.at), "", entry.reached.phase, "", ""]
  const { act } = entry
  const isRefused = act.outcome === "REFUSED"
  const what = isRefused ? `${act.action} (refused)` : act.action
  return [at(act.at), act.actor, what, changeText(act), act.reason ?? ""]
}

export const timeline = Command.make(
  "timeline",
  {
    campaignId,
    limit: listLimit,
    ...Connection.options
  },
  ({ campaignId, limit, ...given }) =>
    withOperator(given, (client, { json, times }) =>
      Effect.gen(function*() {
        yield* countOf("--limit", limit)
        const { before, entries } = yield* client.Timeline({ campaignId, limit })
        yield* show(json, entries, () =>
          Output.table(["at", "who", "what", "change", "reason"], entries.map(cellsOf(times))))
        if (!json && before !== null && limit < 1_000) {
          yield* Output.line(`there are more: --limit ${Math.min(1_000, limit * 2)}`)
        }
      }))
).pipe(Command.withDescription("lists the acts on a campaign and the phases that it has reached, the newest first"))
