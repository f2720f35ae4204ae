import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Backoff from "../../base/Backoff.ts"
import type { CouponClient } from "../../client/CouponClient.ts"
import { CliFailure, ofCall, usage } from "../CliFailure.ts"
import { isPassing } from "../events/CampaignFollower.ts"
import * as Connection from "../Connection.ts"
import { formats } from "./CouponText.ts"
import * as ExportTarget from "./ExportTarget.ts"
import * as Output from "../Output.ts"
import { campaignId, withPublic } from "../commands/Commands.ts"

/** Calls in a row that bring no coupon before the export is given up: about half a minute. */
const ATTEMPTS = 12

const pause = Backoff.make({ firstMillis: 200, lastMillis: 5_000 })

const BAR = 24
const SHOW_MILLIS = 100

const count = (value: number): string => value.toLocaleString("en-US")

/** Shows how far an export is, with its rate and the time that is left, of `from` to `to`. */
const makeProgress = (from: number) => {
  const begun = performance.now()
  let shownAt = 0
  return (number: number, to: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const now = performance.now()
      if (now - shownAt < SHOW_MILLIS && number < to) return Effect.void
      shownAt = now
      const share = to <= from ? 1 : (number - from) / (to - from)
      const rate = (number - from) / Math.max(0.001, (now - begun) / 1_000)
      const left = rate > 0 ? `, ${Output.span(Math.ceil((to - number) / rate))} left` : ""
      const bar = "#".repeat(Math.round(share * BAR)).padEnd(BAR, "-")
      return Output.progress(
        `[${bar}] ${Math.floor(share * 100)} % ${count(number)} of ${count(to)}, ${count(Math.round(rate))}/s${left}`
      )
    })
}

const run = (
  client: CouponClient["Type"],
  id: number,
  text: (typeof formats)["csv"],
  target: ExportTarget.ExportTarget
) =>
  Effect.gen(function*() {
    const show = makeProgress(target.lastNumber)
    let number = target.lastNumber
    for (let attempt = 1;; attempt++) {
      const before = number
      const ended = yield* Effect.either(Stream.runForEach(
        client.exportCoupons({ campaignId: id, afterNumber: number }),
        ({ coupons, lastNumber }) =>
          Effect.gen(function*() {
            const [first, last] = [coupons[0], coupons.at(-1)]
            if (first === undefined || last === undefined) return
            if (first.number !== number + 1 || last.number !== number + coupons.length) {
              return yield* new CliFailure({ exit: "FAILED", code: "UNEXPECTED", message: "coupons are missing" })
            }
            yield* target.write(text.lines(coupons))
            number = last.number
            yield* show(number, lastNumber)
          })
      ))
      if (ended._tag === "Right") return number
      if (number > before) attempt = 1
      if (!isPassing(ended.left) || attempt >= ATTEMPTS) {
        const failure = ofCall(ended.left)
        const written = number === 0 ? [] : [`${count(number)} coupons are written; to go on, run it again`]
        const hint = [...written, ...failure.hint === undefined ? [] : [failure.hint]].join("; ")
        return yield* new CliFailure({ ...failure, message: failure.message, hint })
      }
      yield* Effect.sleep(pause(attempt))
    }
  })

export const exportCoupons = Command.make(
  "export",
  {
    campaignId,
    to: Options.text("to").pipe(
      Options.withDescription("the file to write, or to go on with; unless given, standard output"),
      Options.optional
    ),
    format: Options.choice("format", ["csv", "ndjson"] as const).pipe(
      Options.withDescription("a table, or a JSON object a line"),
      Options.withDefault("csv" as const)
    ),
    after: Options.integer("after").pipe(
      Options.withDescription("begin with the coupon after this number"),
      Options.optional
    ),
    ...Connection.options
  },
  ({ after, campaignId, format, to, ...given }) =>
    withPublic(given, (client, { json }) =>
      Effect.scoped(Effect.gen(function*() {
        const first = Option.getOrElse(after, () => 0)
        if (first < 0) return yield* usage("--after must not be negative")
        if (Option.isSome(after) && Option.isSome(to)) {
          return yield* usage("--after and --to exclude one another: a file says itself how far it is")
        }
        const text = formats[format]
        const target = Option.isNone(to)
          ? yield* ExportTarget.standardOutput(first, text)
          : yield* ExportTarget.file(to.value, campaignId, text)
        const lastNumber = yield* Effect.ensuring(run(client, campaignId, text, target), Output.progressDone)
        if (Option.isNone(to)) return
        const coupons = lastNumber - target.lastNumber
        yield* json
          ? Output.json({ file: to.value, coupons, lastNumber })
          : Output.line(`${to.value}: ${Output.counted(coupons, "coupon")}, up to number ${lastNumber}`)
      })))
).pipe(Command.withDescription("writes all coupons of a campaign to a file or a pipe; run again, it goes on"))
