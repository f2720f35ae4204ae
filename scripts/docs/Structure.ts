// What a page and its translation have in common: headings, fenced blocks, tables and links, in the same order.
import { koreanOf, linked } from "./Pages.ts"

const FENCE = /^( *)```([^\n]*)\n(.*?)^\1```$/gms

export interface Table {
  readonly columns: number
  /** The code of each row: names, commands and values, which no language translates. */
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
}

export interface Structure {
  /** The level of each heading. */
  readonly headings: ReadonlyArray<number>
  /** Each fenced block, its fence included. */
  readonly blocks: ReadonlyArray<string>
  readonly tables: ReadonlyArray<Table>
  /** What is linked to: the English page of a Korean one. */
  readonly links: ReadonlyArray<string>
}

const cellsOf = (row: string): ReadonlyArray<string> => row.split(/(?<!\\)\|/).slice(1, -1)

/** The English file in the place of a Korean one. */
const englishOf = (file: string): string =>
  file === "README.ko.md" ? "README.md" : file.replace(/^docs\/ko\//, "docs/")

/** The structure of a page; `file` resolves its links. */
export const structureOf = (file: string, markdown: string): Structure => {
  const prose = markdown.replace(FENCE, "").replace(/^<!--.*?-->\n/gms, "")
  const tables: Array<{ columns: number; rows: Array<ReadonlyArray<string>> }> = []
  let within = false
  for (const line of prose.split("\n")) {
    const isRow = line.startsWith("|")
    if (isRow && !within) tables.push({ columns: cellsOf(line).length, rows: [] })
    if (isRow) tables.at(-1)!.rows.push(Array.from(line.matchAll(/`[^`]+`/g), ([code]) => code).sort())
    within = isRow
  }
  const links = Array.from(prose.matchAll(/\]\(([^)\s]+)\)/g), ([, link]) => link!)
    .map((link) => /^[a-z]+:/.test(link) ? link : englishOf(linked(file, link.replace(/#.*$/, ""))))
  return {
    headings: Array.from(prose.matchAll(/^(#+) /gm), ([, marks]) => marks!.length),
    blocks: Array.from(markdown.matchAll(FENCE), ([block]) => block),
    tables,
    links: links.sort()
  }
}

/** Links of a Korean page to English pages that have a Korean one. */
export const strayLinks = (
  file: string,
  markdown: string,
  exists: (file: string) => boolean
): ReadonlyArray<string> =>
  Array.from(markdown.replace(FENCE, "").matchAll(/\]\(([^)\s]+)\)/g), ([, link]) => link!)
    .filter((link) => !/^[a-z]+:/.test(link) && !link.startsWith("#"))
    .filter((link) => {
      const target = linked(file, link.replace(/#.*$/, ""))
      return target !== englishOf(file) && target !== koreanOf(target) && exists(koreanOf(target))
    })

/** The Korean page with the English one's fenced blocks, each in its place; fails if there are not as many. */
export const withBlocksOf = (english: string, korean: string): string => {
  const blocks = Array.from(english.matchAll(FENCE), ([block]) => block)
  const count = Array.from(korean.matchAll(FENCE)).length
  if (count !== blocks.length) throw new Error(`${blocks.length} blocks in English, ${count} in Korean`)
  let next = 0
  return korean.replace(FENCE, () => blocks[next++]!)
}
