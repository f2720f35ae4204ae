import { width, wrap } from "../../base/text/TextWidth.ts"

// How pages of help are laid out, all of them.

const MIN_COLUMNS = 60
const MAX_COLUMNS = 100

/** The columns of a page on a terminal with so many; `undefined`: it is not known. */
export const columnsOf = (terminal: number | undefined): number =>
  Math.max(MIN_COLUMNS, Math.min(terminal ?? MAX_COLUMNS, MAX_COLUMNS))

/** A text, broken between words. */
export const paragraph = (text: string, columns: number): string => wrap(text, columns).join("\n")

/** Names at the left and texts beside them, or below them where a name is long. */
export const list = (parts: ReadonlyArray<readonly [name: string, text: string]>, columns: number): string => {
  const beside = Math.min(30, Math.max(...parts.map(([name]) => width(name))) + 4)
  return parts.map(([name, text]) => {
    const body = wrap(text, columns - beside).join(`\n${" ".repeat(beside)}`)
    const names = wrap(name, columns - 6).join("\n      ")
    return width(name) + 4 > beside ? `  ${names}\n${" ".repeat(beside)}${body}` : `  ${name.padEnd(beside - 2)}${body}`
  }).join("\n")
}
