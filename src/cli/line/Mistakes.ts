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

/** Names the option that takes one of these, and what was given for it. */
const choiceOf = (choices: string, { command }: CommandWords.Named, args: ReadonlyArray<string>): string => {
  const taken = choices.replaceAll(", ", " | ")
  const holders = [...Pages.partsOf(command).options, ...Pages.partsOf(command).args]
    .filter(({ usage }) => usage.endsWith(` ${taken}`)).map(({ name }) => name)
  const wrong = args.flatMap((arg, k) => {
    const [name, ...after] = arg.split("=")
    const value = after.length > 0 ? after.join("=") : args[k + 1]
    if (value === undefined || !holders.includes(name!) || choices.split(", ").includes(value)) return []
    return [`${name} must be one of ${choices}, and is '${value}'`]
  })
  return wrong[0] ?? `one of ${choices} is needed`
}

const noOption = (option: string, { command }: CommandWords.Named): string => {
  const near = nearest(option, Pages.partsOf(command).options.map(({ name }) => name))
  return `there is no option ${option}${near === undefined ? "" : `; did you mean ${near}?`}`
}

/** One sentence of `@effect/cli` in our words, which name the option or the argument. */
const sentence = (text: string, named: CommandWords.Named, args: ReadonlyArray<string>): string => {
  const [, value, kind] = /^'(.*)' is not an? (.+)$/s.exec(text) ?? []
  if (value !== undefined) {
    const holder = holderOf(value, named, args)
    // The option that follows was taken for the value.
    if (holder !== undefined && value.startsWith("--")) {
      const [option] = value.split("=") as [string]
      const isOption = Pages.partsOf(named.command).options.some(({ name }) => name === option)
      return isOption || holder.startsWith("--") ? `${holder} needs a value` : noOption(option, named)
    }
    const wanted = kind === "integer" ? "an integer" : `of the kind ${kind}`
    return `${holder ?? "a value"} must be ${wanted}, and is '${value}'`
  }
  const [, choices] = /^Expected one of the following cases: (.+)$/s.exec(text) ?? []
  if (choices !== undefined) return choiceOf(choices, named, args)
  const patterns: ReadonlyArray<readonly [RegExp, string]> = [
    [/^Expected to find option: '(.+)'$/, "$1 is missing"],
    [/^Expected a value following option: '(.+)'$/, "$1 needs a value"],
    [/^The flag '(.+)' is not recognized\. Did you mean '(.+)'\?$/, "there is no option $1; did you mean $2?"],
    [/^Missing argument (<.+>)( with choices .+)?$/, "$1 is missing"]
  ]
  const known = patterns.find(([pattern]) => pattern.test(text))
  return known === undefined ? text : text.replace(known[0], known[1])
}

/** What is wrong with the line, from the words of `@effect/cli`, which has a paragraph for each mistake. */
const inOurWords = (text: string, named: CommandWords.Named, args: ReadonlyArray<string>): string => {
  const sentences = text.split(/\n{2,}/).map((one) => sentence(one.trim(), named, args)).filter((one) => one !== "")
  // The name that was meant for a missing option says it all.
  const meant = sentences.find((one) => one.startsWith("there is no option "))
  return meant ?? [...new Set(sentences)].join("; ")
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
    return yield* wrong(noOption(unknown, named))
  })
