import { stripVTControlCharacters } from "node:util"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Descriptor from "@effect/cli/CommandDescriptor"
import * as HelpDoc from "@effect/cli/HelpDoc"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import type * as Terminal from "@effect/platform/Terminal"
import * as Effect from "effect/Effect"
import { nearest } from "../../base/Nearest.ts"
import { type CliFailure, usage } from "../CliFailure.ts"
import * as CommandWords from "./CommandWords.ts"
import * as Pages from "./HelpPage.ts"

/** The option or argument that has a value, by its place in the line: `--limit`, or `<campaign-id>`. */
const holderOf = (value: string, { command, words }: CommandWords.Named, args: ReadonlyArray<string>) => {
  const own = args.slice(words.length)
  const at = own.lastIndexOf(value)
  const before = own[at - 1]
  if (at < 0) return own.find((arg) => arg.endsWith(`=${value}`))?.split("=")[0]
  if (before?.startsWith("-") === true) return before
  const isValue = (k: number) => k > 0 && own[k - 1]!.startsWith("-") && !own[k - 1]!.includes("=")
  const position = own.slice(0, at).filter((arg, k) => !arg.startsWith("-") && !isValue(k)).length
  return Pages.partsOf(command).args[position]?.name
}

/** Arguments moves them behind what else there is, so that they are first only where there is nothing else. */
const OF_EVERY_COMMAND: ReadonlySet<string> = new Set(["--url", "--key", "--timeout", "--tz", "--json"])

/** What is wrong with the line in our words, from those of `@effect/cli`. */
const inOurWords = (text: string, named: CommandWords.Named, args: ReadonlyArray<string>): string => {
  const [, value, kind] = /^'(.*)' is not an? (.+)$/s.exec(text) ?? []
  if (value !== undefined) {
    const holder = holderOf(value, named, args) ?? "a value"
    return `${holder} must be ${kind === "integer" ? "an integer" : `of the kind ${kind}`}, and is '${value}'`
  }
  return text
}

/**
 * Whether the line can be run, before anything of it is. Then `@effect/cli` has nothing to say: its mistakes are plain
 * text also where JSON is asked for, and name neither the argument nor the command.
 */
export const check = (
  root: Descriptor.Command<unknown>,
  args: ReadonlyArray<string>
): Effect.Effect<void, CliFailure, FileSystem.FileSystem | Path.Path | Terminal.Terminal> =>
  Effect.gen(function*() {
    const named = yield* CommandWords.find(root, args)
    const path = ["coupon", ...named.words].join(" ")
    const [option] = args.slice(named.words.length)
    if (named.commands.length > 0 && option !== undefined && !OF_EVERY_COMMAND.has(option.split("=")[0]!)) {
      return yield* usage(`${option} comes before a command: first the command, then its options (${path} --help)`)
    }
    if (named.commands.length > 0) {
      return yield* usage(`${path} needs one of its commands: ${named.commands.join(", ")}`)
    }
    const wrong = (text: string) => usage(`${text} (${path} --help)`)
    const parsed = Descriptor.parse(root, ["coupon", ...args], CliConfig.defaultConfig)
    const directive = yield* Effect.mapError(parsed, ({ error }) => {
      const text = stripVTControlCharacters(HelpDoc.toAnsiText(error)).trim()
      return wrong(inOurWords(text, named, args))
    })
    const [unknown] = directive._tag === "UserDefined" ? directive.leftover : []
    if (unknown === undefined) return
    if (!unknown.startsWith("-")) return yield* wrong(`'${unknown}' is one argument too many`)
    const options = Pages.partsOf(named.command).options.map(({ name }) => name)
    const near = nearest(unknown, options)
    return yield* wrong(`there is no option ${unknown}${near === undefined ? "" : `; did you mean ${near}?`}`)
  })
