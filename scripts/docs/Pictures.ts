// Pictures of the pages. They are written in Mermaid, which GitHub draws; for the site they are drawn once, by
// `npm run docs:pictures`, and kept in docs/internals/pictures under the digest of their text.
import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { root } from "./Pages.ts"

export const folder = "docs/internals/pictures"

const MERMAID = /^```mermaid\n(.*?)^```$/gms

/** The texts of a page's pictures. */
export const picturesOf = (markdown: string): ReadonlyArray<string> =>
  Array.from(markdown.matchAll(MERMAID), ([, text]) => text!)

/** The file of a picture. */
export const fileOf = (text: string): string =>
  `${folder}/${createHash("sha256").update(text).digest("hex").slice(0, 12)}.svg`

/** The page with its pictures as links to their files; one that is not drawn stays as it is written. */
export const drawn = (markdown: string): { readonly text: string; readonly files: ReadonlyArray<string> } => {
  const files: Array<string> = []
  const text = markdown.replace(MERMAID, (_, picture: string) => {
    const file = fileOf(picture)
    if (!existsSync(join(root, file))) return `\`\`\`text\n${picture}\`\`\``
    files.push(file)
    return `![diagram](/files/${file})`
  })
  return { text, files }
}
