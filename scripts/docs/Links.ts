// Links of a page as the site needs them: to pages by their place there, to other files by a copy of them.
import { existsSync, statSync } from "node:fs"
import { join } from "node:path"
import { filePlace, linked, root } from "./Pages.ts"

export interface Rewritten {
  readonly text: string
  /** Files that are no pages, and that the page links to. */
  readonly files: ReadonlyArray<string>
}

const LINK = /(\]\()([^)\s]+)(\))/g
const FENCE = /^( *)```.*?^\1```$/gms

/** Applies `change` to what is not a fenced block. */
const outsideOfFences = (markdown: string, change: (text: string) => string): string => {
  let result = ""
  let from = 0
  for (const fence of markdown.matchAll(FENCE)) {
    result += change(markdown.slice(from, fence.index)) + fence[0]
    from = fence.index + fence[0].length
  }
  return result + change(markdown.slice(from))
}

/** Rewrites the links of `file`; fails if one leads nowhere. */
export const rewrite = (file: string, markdown: string, pages: ReadonlyMap<string, string>): Rewritten => {
  const files: Array<string> = []
  const target = (link: string): string => {
    if (/^[a-z]+:/.test(link) || link.startsWith("#")) return link
    const [path, fragment] = link.split("#") as [string, string?]
    const named = linked(file, path)
    const page = pages.get(named)
    const anchor = fragment === undefined ? "" : `#${fragment}`
    if (page !== undefined) return `/${page}${anchor}`
    if (!existsSync(join(root, named)) || !statSync(join(root, named)).isFile()) {
      throw new Error(`${file} links to ${link}, which is no file`)
    }
    files.push(named)
    return `/${filePlace(named)}`
  }
  const text = outsideOfFences(markdown, (prose) =>
    prose.replace(LINK, (_, before: string, link: string, after: string) => `${before}${target(link)}${after}`))
  return { text, files }
}
