import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import { CODES_PER_COUPON, compile, MAX_CODE_LENGTH } from "../../domain/codes/CodeFormat.ts"
import { drawCodes } from "../../domain/codes/DrawCodes.ts"
import { MAX_COUPON_LIMIT } from "../../domain/Campaign.ts"
import { usage } from "../CliFailure.ts"
import * as Output from "../Output.ts"
import * as CodeOptions from "../campaigns/CodeOptions.ts"
import { show } from "./Commands.ts"
import { abort, importCodes, status } from "./ImportCommand.ts"

const MAX_PREVIEW = 1_000

const preview = Command.make(
  "preview",
  {
    ...CodeOptions.options,
    count: Options.integer("count").pipe(
      Options.withDescription(`how many codes to show, 1 to ${MAX_PREVIEW}`),
      Options.withDefault(5)
    ),
    json: Options.boolean("json").pipe(Options.withDescription("print JSON"))
  },
  ({ count, json, ...given }) =>
    Effect.gen(function*() {
      if (count < 1 || count > MAX_PREVIEW) return yield* usage(`--count must be 1 to ${MAX_PREVIEW}`)
      const format = yield* CodeOptions.parse(given)
      const { elements, space } = compile(format)
      const draw = drawCodes(format)
      const codes = Array.from({ length: count }, () => draw())
      const coupons = Math.min(MAX_COUPON_LIMIT, Math.floor(space / CODES_PER_COUPON))
      yield* show(json, { ...format, length: elements.length, codes, space, coupons }, () =>
        [
          ...codes.map(Output.printable),
          "",
          Output.facts({
            alphabet: `${format.characters} (${Array.from(format.characters).length})`,
            check: format.check === "NONE" ? "none" : format.check,
            length: `${elements.length} of at most ${MAX_CODE_LENGTH} characters`,
            codes: space.toLocaleString("en-US", { maximumSignificantDigits: 4 }),
            "for a limit of": coupons === 0
              ? `no coupon: each needs ${CODES_PER_COUPON.toLocaleString("en-US")} codes, so add more #`
              : `${coupons.toLocaleString("en-US")} coupons at most`
          })
        ].join("\n"))
    })
).pipe(Command.withDescription("draws codes of a format and counts how many there are; asks no service"))

export const codes = Command.make("codes").pipe(
  Command.withDescription("shows what codes look like, and imports own ones"),
  Command.withSubcommands([preview, importCodes, status, abort])
)
