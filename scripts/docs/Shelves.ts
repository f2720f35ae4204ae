// The sidebar: what the index of the documents lists, by its headings.
import { filePlace, linked, pages, read } from "./Pages.ts"

export interface Item {
  readonly text: string
  readonly link: string
}
export interface Shelf {
  readonly text: string
  readonly items: ReadonlyArray<Item>
}

const ROW = /^\| \[([^\]]+)\]\(([^)\s]+)\)([^|]*)\|/

/** The shelves that an index page (`docs/README.md`, or the Korean one) lists, with links of the site. */
export const shelves = (index: string): ReadonlyArray<Shelf> => {
  const places = pages()
  const found: Array<{ readonly text: string; readonly items: Array<Item> }> = []
  for (const line of read(index).split("\n")) {
    const heading = /^## (.+)$/.exec(line)?.[1]
    if (heading !== undefined) found.push({ text: heading, items: [] })
    const row = ROW.exec(line)
    if (row === null) continue
    const [, text, link, more] = row as unknown as [string, string, string, string]
    const file = linked(index, link)
    const place = places.get(file)
    const page = place?.replace(/(^|\/)index\.md$/, "$1").replace(/\.md$/, "")
    found.at(-1)?.items.push({ text: `${text}${more.trimEnd()}`, link: `/${page ?? filePlace(file)}` })
  }
  return found.filter(({ items }) => items.length > 0)
}
