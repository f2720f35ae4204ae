import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import { createInterface } from "node:readline/promises"
import { type CliFailure, usage } from "../CliFailure.ts"

/** The option by which scripts confirm. */
export const yes = Options.boolean("yes").pipe(Options.withDescription("do not ask: for scripts"))

/**
 * Before what cannot be undone: `what` is said on a terminal, and `answer` has to be typed. Elsewhere it needs `--yes`,
 * because a script has no one to ask.
 */
export const confirmed = (
  given: boolean,
  { answer, what }: { readonly answer: string; readonly what: string }
): Effect.Effect<void, CliFailure> => {
  if (given) return Effect.void
  if (!process.stdin.isTTY || !process.stderr.isTTY) return Effect.fail(usage(`${what}: confirm by --yes`))
  const ask = Effect.promise(async () => {
    const terminal = createInterface({ input: process.stdin, output: process.stderr })
    try {
      return await terminal.question(`${what}. Type ${answer} to go on: `)
    } finally {
      terminal.close()
    }
  })
  return Effect.flatMap(ask, (typed) =>
    typed.normalize() === answer.normalize()
      ? Effect.void
      : Effect.fail(usage("nothing was done: that is another one")))
}
