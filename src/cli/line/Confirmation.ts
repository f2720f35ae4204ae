import { createInterface } from "node:readline/promises"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import { CliFailure, usage } from "../CliFailure.ts"

/** The option of commands that ask before they do what cannot be undone. */
export const yes = Options.boolean("yes").pipe(Options.withDescription("does it without asking, for scripts"))

/** Who is asked: a terminal that can be read and written. */
export interface Terminal {
  readonly isThere: boolean
  readonly ask: (question: string) => Promise<string>
}

const standard: Terminal = {
  get isThere() {
    return process.stdin.isTTY === true && process.stderr.isTTY === true
  },
  ask: async (question) => {
    const lines = createInterface({ input: process.stdin, output: process.stderr })
    try {
      return await lines.question(question)
    } finally {
      lines.close()
    }
  }
}

/**
 * Goes on if `--yes` was given, or if the word is typed on the terminal. Without a terminal it is a mistake not to give
 * `--yes`: a script that waits for an answer would wait for ever.
 */
export const confirm = (
  { json, what, word, yes }: {
    /** What would be done, e.g. `campaign 1 Summer ends for good`. */
    readonly what: string
    readonly word: string
    readonly yes: boolean
    readonly json: boolean
  },
  terminal: Terminal = standard
): Effect.Effect<void, CliFailure> =>
  Effect.gen(function*() {
    if (yes) return
    if (json || !terminal.isThere) return yield* usage(`${what}: give --yes if that is meant`)
    const typed = yield* Effect.promise(() => terminal.ask(`${what}. Type ${word} to go on: `))
    if (typed.trim().normalize() === word.trim().normalize()) return
    return yield* new CliFailure({ exit: "USAGE", code: "NOT_CONFIRMED", message: "nothing was done" })
  })
