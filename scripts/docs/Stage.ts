// Writes what VitePress reads to a folder: the pages at their places with links of the site, the files they link to,
// the page of the API, and for each page without a Korean one a Korean page that says so.
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { apiPage, type OpenApi } from "./ApiPage.ts"
import { rewrite } from "./Links.ts"
import { drawn } from "./Pictures.ts"
import { englishOnly, filePlace, pages, read, root, titleOf } from "./Pages.ts"

export const stagedRoot = join(root, ".cache/docs")

const CONFIG = `export { default } from "../../../scripts/docs/config.ts"\n`
const THEME = `import "./site.css"\nexport { default } from "vitepress/theme-without-fonts"\n`
/** Korean breaks between words, not within them. */
const STYLE = `:lang(ko-KR) .vp-doc, :lang(ko-KR) .VPSidebar { word-break: keep-all; overflow-wrap: break-word; }
.vp-doc img[src*="/pictures/"] { background: white; padding: 1rem; border-radius: 8px; }
`

const put = (file: string, text: string): void => {
  const path = join(stagedRoot, file)
  let before: string | undefined
  try {
    before = readFileSync(path, "utf8")
  } catch {
    mkdirSync(dirname(path), { recursive: true })
  }
  // An unchanged file keeps its time, so that a server that watches reloads only what changed.
  if (before !== text) writeFileSync(path, text)
}

/** The Korean page in the place of one that is there in English alone. */
const absent = (title: string, place: string): string =>
  `---\nsearch: false\n---\n\n# ${title}\n\n이 문서는 아직 영어로만 제공됩니다: [${title}](/${place})\n`

/** Stages every page; returns their places. Fails on the first link that leads nowhere. */
export const stage = (options: { readonly fresh: boolean }): ReadonlyArray<string> => {
  if (options.fresh) rmSync(stagedRoot, { recursive: true, force: true })
  const places = pages()
  const written: Array<string> = []
  const write = (place: string, text: string) => {
    put(place, text)
    written.push(place)
  }
  for (const [file, place] of places) {
    const { files, text } = rewrite(file, read(file), places)
    const pictures = drawn(text)
    write(place, pictures.text.replace(/^<!--.*?-->\n/gms, ""))
    for (const linkedFile of [...files, ...pictures.files]) {
      const copy = join(stagedRoot, "public", filePlace(linkedFile))
      mkdirSync(dirname(copy), { recursive: true })
      copyFileSync(join(root, linkedFile), copy)
    }
  }
  for (const file of englishOnly()) {
    const place = places.get(file)!
    write(`ko/${place}`, absent(titleOf(read(file)), place))
  }
  const document = JSON.parse(read("src/contract/gen/openapi.json")) as OpenApi
  write("reference/openapi.md", apiPage(document))
  write("ko/reference/openapi.md", absent("Calls and fields", "reference/openapi.md"))
  put(".vitepress/config.mjs", CONFIG)
  put(".vitepress/theme/index.js", THEME)
  put(".vitepress/theme/site.css", STYLE)
  return written
}
