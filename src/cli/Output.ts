import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Table from "../base/text/Table.ts"
import { wrap } from "../base/text/TextWidth.ts"
import * as Json from "./values/Json.ts"

export { measured as duration } from "../base/DurationText.ts"
export { printable } from "../base/Printable.ts"

/** Writes a line to standard output. */
export const line = (text: string): Effect.Effect<void> => Console.log(text)

/** Writes a line of JSON. */
export const json = (value: unknown): Effect.Effect<void> => line(Json.text(value))

/** Shows progress on standard error, only if that is a terminal. */
export const progress = (text: string): Effect.Effect<void> =>
  Effect.sync(() => {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
  })

/** Removes the progress from the terminal. */
export const progressDone: Effect.Effect<void> = progress("")

/** The columns of the terminal; `undefined`: standard output is none, and nothing needs to fit. */
export const columns = (): number | undefined => process.stdout.isTTY ? process.stdout.columns : undefined

/** A line, broken between words where the terminal is too narrow for it. */
export const fitting = (text: string): string => wrap(text, columns() ?? Infinity).join("\n")

/** A table with a header, which becomes blocks of names and values where the terminal is too narrow for it. */
export const table = (header: Table.Row, rows: ReadonlyArray<Table.Row>): string =>
  Table.format(rows, { header, columns: columns() })

/** Names and values, one a line. */
export const facts = (entries: Readonly<Record<string, string | number | undefined>>): string =>
  Table.format(
    Object.entries(entries).flatMap(([name, value]) =>
      value === undefined || value === "" ? [] : [[name, String(value)]]),
    { columns: columns() }
  )

/** A size: `512 B`, `1.5 MB`. */
export const bytes = (count: number): string => {
  const units = ["B", "kB", "MB", "GB", "TB"]
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, count)) / 3)))
  return `${unit === 0 ? count : (count / 1_000 ** unit).toFixed(1)} ${units[unit]}`
}

/** Whole seconds in at most two units: `45 s`, `12 min 5 s`, `3 h 20 min`, `2 d 4 h`. */
export const span = (seconds: number): string => {
  const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]] as const
  const largest = units.findIndex(([, length]) => seconds >= length)
  if (largest < 0) return "0 s"
  let rest = Math.floor(seconds)
  return units.slice(largest, largest + 2).flatMap(([name, length]) => {
    const count = Math.floor(rest / length)
    rest -= count * length
    return count > 0 ? [`${count} ${name}`] : []
  }).join(" ")
}

/** `1 campaign`, `2 campaigns`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`
