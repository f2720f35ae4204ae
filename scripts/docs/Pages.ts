// Which files of the repository are pages of the site, and where they stand there.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, posix, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..")

/** Pages outside of `docs/`, by their place in the site. */
const outside: Readonly<Record<string, string>> = {
  "README.md": "index.md",
  "README.ko.md": "ko/index.md",
  "SECURITY.md": "project/security.md",
  "CONTRIBUTING.md": "project/contributing.md",
  "CHANGELOG.md": "project/changes.md",
  "test/conformance/README.md": "project/conformance.md"
}

/** Where a page of `docs/` stands: the index is `contents.md`, because `index.md` is the README. */
const inside = (file: string): string => relative("docs", file).replace(/(^|\/)README\.md$/, "$1contents.md")

/** Every page: the file in the repository, to its place in the site. */
export const pages = (): ReadonlyMap<string, string> =>
  new Map([
    ...Object.entries(outside).filter(([file]) => existsSync(join(root, file))),
    ...readdirSync(join(root, "docs"), { encoding: "utf8", recursive: true })
      .filter((file) => file.endsWith(".md"))
      .sort()
      .map((file) => [`docs/${file}`, inside(`docs/${file}`)] as const)
  ])

/** The Korean file of an English one; it need not exist. */
export const koreanOf = (file: string): string =>
  file === "README.md" ? "README.ko.md" : file.replace(/^docs\//, "docs/ko/")

/** English pages that may have a Korean one: the README, and all of `docs/`. */
export const translatable = (): ReadonlyArray<string> =>
  [...pages().keys()].filter((file) => file === "README.md" || /^docs\/(?!ko\/)/.test(file))

/** English pages without a Korean one. */
export const englishOnly = (): ReadonlyArray<string> =>
  translatable().filter((file) => !existsSync(join(root, koreanOf(file))))

export const read = (file: string): string => readFileSync(join(root, file), "utf8")

/** The first heading of a page. */
export const titleOf = (markdown: string): string => /^# (.+)$/m.exec(markdown)?.[1] ?? ""

/** The anchor of a heading, by the rule of the pages on GitHub, so that a link is right in both. */
export const anchor = (heading: string): string =>
  heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").trim().replaceAll(" ", "-")

/** What a relative link in `file` names in the repository. */
export const linked = (file: string, path: string): string =>
  path === "" ? file : posix.normalize(posix.join(posix.dirname(file), path))

/** Where a file that is no page stands: a picture as it is, anything else as a text that browsers show. */
export const filePlace = (file: string): string => `files/${file}${/\.(svg|webp)$/.test(file) ? "" : ".txt"}`
