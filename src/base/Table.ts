import { eastAsianWidth } from "get-east-asian-width"
import { printable } from "./Printable.ts"

export type Row = ReadonlyArray<string | number>

let segmenter: Intl.Segmenter | undefined

/** Columns that a terminal takes for a text: two for a syllable of 여름 or an emoji, none for a combining accent. */
const width = (text: string): number => {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  segmenter ??= new Intl.Segmenter()
  let columns = 0
  for (const { segment } of segmenter.segment(text)) {
    columns += segment.includes("\ufe0f") ? 2 : eastAsianWidth(segment.codePointAt(0)!)
  }
  return columns
}

/** Rows for a terminal, cells aligned, columns of numbers to the right. `indent`: spaces in front of each row. */
export const format = (
  rows: ReadonlyArray<Row>,
  options: { readonly header?: Row; readonly indent?: number } = {}
): string => {
  const { header, indent = 0 } = options
  const cells = [...header === undefined ? [] : [header], ...rows].map((row) =>
    row.map((cell) => printable(String(cell))))
  const columns = Math.max(0, ...cells.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, k) => Math.max(...cells.map((row) => width(row[k] ?? ""))))
  const isRight = widths.map((_, k) => rows.length > 0 && rows.every((row) => typeof row[k] === "number"))
  const line = (row: ReadonlyArray<string>) =>
    row.map((cell, k) => {
      const padding = " ".repeat(widths[k]! - width(cell))
      return isRight[k] ? padding + cell : cell + padding
    }).join("  ")
  return cells.map((row) => `${" ".repeat(indent)}${line(row)}`.trimEnd()).join("\n")
}
