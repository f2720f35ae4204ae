import * as CliConfig from "@effect/cli/CliConfig"
import * as Descriptor from "@effect/cli/CommandDescriptor"
import * as HelpDoc from "@effect/cli/HelpDoc"
import type * as Span from "@effect/cli/HelpDoc/Span"
import { stripVTControlCharacters } from "node:util"
import { wrap } from "../../base/text/TextWidth.ts"
import * as Guide from "../Guide.ts"
import type * as CommandWords from "./CommandWords.ts"
import { examples } from "./Examples.ts"
import * as Page from "./Page.ts"

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

/** Options that `@effect/cli` adds to every command. */
const BUILT_IN = ["--completions", "--log-level", "--help", "--wizard", "--version"]

/** The names of what every command takes; `coupon --help` explains them. */
const COMMON = ["--url", "--key", "--timeout", "--tz", "--json"]

/** An example as a shell reads it, continued on the next line where it is wider than `columns`. */
const exampleOf = (line: string, columns: number): string => {
  // What is quoted is one word.
  const joined = line.replaceAll(/'[^']*'/g, (quoted) => quoted.replaceAll(" ", "\0"))
  return wrap(joined, columns - 4).join(" \\\n    ").replaceAll("\0", " ")
}

/** What `coupon COMMAND --help` prints. `terminal`: the terminal's columns, if that is known. */
export const render = ({ command, commands, words }: CommandWords.Named, terminal: number | undefined): string => {
  if (words.length === 0) return Guide.text(terminal)
  const columns = Page.columnsOf(terminal)
  const path = words.join(" ")
  const entries = Guide.entries.filter(({ usage }) => `${usage} `.startsWith(`${path} `))
  if (commands.length > 0) {
    return [
      `coupon ${path} COMMAND`,
      Page.list(entries.map(({ text, usage }) => [usage, text]), columns),
      Page.paragraph(`coupon ${path} COMMAND --help shows the options of a command.`, columns)
    ].join("\n\n")
  }
  const [entry] = entries
  const { args, options } = partsOf(command)
  const own = options.filter(({ name }) => !COMMON.includes(name) && !BUILT_IN.includes(name))
  const given = [...args, ...own].map(({ text, usage }) => [usage, text] as const)
  // Without a terminal an example stays one line, which can be cut out.
  const shown = (examples[path] ?? []).map((line) => exampleOf(line, terminal === undefined ? Infinity : columns))
  return [
    wrap(`coupon ${entry?.usage ?? path}`, columns - 4).join("\n    "),
    ...entry === undefined ? [] : [Page.paragraph(`${entry.text}. Role: ${entry.role}`, columns)],
    ...given.length === 0 ? [] : [Page.list(given, columns)],
    `Also ${COMMON.join(", ")}: coupon --help`,
    ...shown.length === 0 ? [] : [["Example", ...shown].join("\n  ")]
  ].join("\n\n")
}
