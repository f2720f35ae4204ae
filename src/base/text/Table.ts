import { printable } from "../Printable.ts"
import { width, wrap } from "./TextWidth.ts"

export type Row = ReadonlyArray<string | number>

const GAP = "  "

/** A row that is too wide, as a line for each of its cells that has something in it. */
const record = (header: ReadonlyArray<string>, row: ReadonlyArray<string>, columns: number): string => {
  const names = Math.max(...header.map(width))
  const beside = " ".repeat(names + GAP.length)
  return row.flatMap((cell, k) => {
    if (cell === "") return []
    const name = header[k] ?? ""
    const [first, ...rest] = wrap(cell, columns - beside.length)
    return [`${name}${" ".repeat(names - width(name))}${GAP}${first}`, ...rest.map((line) => beside + line)]
  }).join("\n")
}

/**
 * Rows for a terminal, cells aligned, columns of numbers to the right. `indent`: spaces in front of each row.
 * `columns`: those of the terminal. Where a table with a header is wider, each row becomes a block of names and values;
 * without a header the last cell of a row is broken between words.
 */
export const format = (
  rows: ReadonlyArray<Row>,
  options: { readonly header?: Row; readonly indent?: number; readonly columns?: number | undefined } = {}
): string => {
  const { columns: most = Infinity, header, indent = 0 } = options
  const cells = [...header === undefined ? [] : [header], ...rows].map((row) =>
    row.map((cell) => printable(String(cell))))
  const columns = Math.max(0, ...cells.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, k) => Math.max(...cells.map((row) => width(row[k] ?? ""))))
  const total = indent + widths.reduce((sum, one) => sum + one + GAP.length, -GAP.length)
  const [names, ...given] = cells
  if (header !== undefined && total > most) return given.map((row) => record(names!, row, most)).join("\n\n")
  const beside = indent + widths.slice(0, -1).reduce((sum, one) => sum + one + GAP.length, 0)
  const isRight = widths.map((_, k) => rows.length > 0 && rows.every((row) => typeof row[k] === "number"))
  const line = (row: ReadonlyArray<string>) =>
    row.map((cell, k) => {
      const padding = " ".repeat(Math.max(0, widths[k]! - width(cell)))
      if (isRight[k]) return padding + cell
      return k < columns - 1 || most === Infinity
        ? cell + padding
        : wrap(cell, most - beside).join(`\n${" ".repeat(beside)}`)
    }).join(GAP)
  return cells.map((row) => `${" ".repeat(indent)}${line(row)}`.trimEnd()).join("\n")
}
