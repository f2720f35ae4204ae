import * as CliConfig from "@effect/cli/CliConfig"
import * as Descriptor from "@effect/cli/CommandDescriptor"
import * as HelpDoc from "@effect/cli/HelpDoc"
import type * as Span from "@effect/cli/HelpDoc/Span"
import { stripVTControlCharacters } from "node:util"
import * as Guide from "../Guide.ts"
import type * as CommandWords from "./CommandWords.ts"
import { examples } from "./Examples.ts"

/** An option or argument as `@effect/cli` knows it. */
export interface Part {
  /** `--limit`, or `<campaign-id>`. */
  readonly name: string
  /** Its name with what it takes: `--limit integer`. */
  readonly usage: string
  readonly text: string
}

/** Sentences of `@effect/cli` that say what the usage says already. */
const SAID = [
  /^A user-defined piece of text\b.*$/,
  /^An integer\.$/,
  /^A true or false value\.$/,
  /^One of the following: .*$/,
  /^This (?:setting|option) .*$/,
  /^This argument .*$/
]

const plain = (text: string): string => stripVTControlCharacters(text).trim()

const textOf = (doc: HelpDoc.HelpDoc): string =>
  plain(HelpDoc.toAnsiText(doc)).split(/\n+/).map((line) => line.trim())
    .filter((line) => line !== "" && !SAID.some((said) => said.test(line))).join(" ")

/** The options and arguments of a command, read from its help. */
export const partsOf = (
  command: Descriptor.Command<unknown>
): { readonly args: ReadonlyArray<Part>; readonly options: ReadonlyArray<Part> } => {
  const args: Array<Part> = []
  const options: Array<Part> = []
  const visit = (doc: HelpDoc.HelpDoc): void => {
    if (HelpDoc.isSequence(doc)) {
      visit(doc.left)
      visit(doc.right)
    }
    if (!HelpDoc.isDescriptionList(doc)) return
    for (const [span, description] of doc.definitions) {
      const usage = plain(HelpDoc.toAnsiText(HelpDoc.p(span as Span.Span))).replace(/^\((.*)\)$/, "$1")
      const name = usage.split(/,? /).find((word) => word.startsWith("--")) ?? usage.split(" ")[0]!
      ;(usage.startsWith("-") ? options : args).push({ name, usage, text: textOf(description) })
    }
  }
  visit(Descriptor.getHelp(command, CliConfig.defaultConfig))
  return { args, options }
}

const MIN_COLUMNS = 60
const MAX_COLUMNS = 100

/** Breaks a text between words; each line but the first is indented. */
const wrap = (text: string, columns: number, indent: number): string => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`
    if (longer.length > columns - (lines.length === 0 ? 0 : indent) && line !== "") {
      lines.push(line)
      line = word
    } else line = longer
  }
  return [...lines, line].join(`\n${" ".repeat(indent)}`)
}

/** Names at the left and texts beside them, or below them where a name is long. */
const list = (parts: ReadonlyArray<readonly [name: string, text: string]>, columns: number): string => {
  const beside = Math.min(30, Math.max(...parts.map(([name]) => name.length)) + 4)
  return parts.map(([name, text]) => {
    const body = wrap(text, columns - beside, 0).replaceAll("\n", `\n${" ".repeat(beside)}`)
    return name.length + 4 > beside
      ? `  ${name}\n${" ".repeat(beside)}${body}`
      : `  ${name.padEnd(beside - 2)}${body}`
  }).join("\n")
}

/** Options that `@effect/cli` adds to every command. */
const BUILT_IN = ["--completions", "--log-level", "--help", "--wizard", "--version"]

/** The names of what every command takes; `coupon --help` explains them. */
const COMMON = ["--url", "--key", "--timeout", "--json"]

/** What `coupon COMMAND --help` prints. `terminal`: the terminal's columns, if that is known. */
export const render = ({ command, commands, words }: CommandWords.Named, terminal: number | undefined): string => {
  const columns = Math.max(MIN_COLUMNS, Math.min(terminal ?? MAX_COLUMNS, MAX_COLUMNS))
  const path = words.join(" ")
  const entries = Guide.entries.filter(({ usage }) => `${usage} `.startsWith(`${path} `))
  if (commands.length > 0) {
    return [
      `coupon ${path} COMMAND`,
      list(entries.map(({ text, usage }) => [usage, text]), columns),
      `coupon ${path} COMMAND --help shows the options of a command.`
    ].join("\n\n")
  }
  const [entry] = entries
  const { args, options } = partsOf(command)
  const own = options.filter(({ name }) => !COMMON.includes(name) && !BUILT_IN.includes(name))
  const given = [...args, ...own].map(({ text, usage }) => [usage, text] as const)
  const shown = examples[path] ?? []
  return [
    wrap(`coupon ${entry?.usage ?? path}`, columns, 4),
    ...entry === undefined ? [] : [wrap(`${entry.text}. Role: ${entry.role}`, columns, 0)],
    ...given.length === 0 ? [] : [list(given, columns)],
    `Also ${COMMON.join(", ")}: coupon --help`,
    ...shown.length === 0 ? [] : [`Example\n${shown.map((line) => `  ${line}`).join("\n")}`]
  ].join("\n\n")
}
