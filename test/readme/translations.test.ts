import { existsSync } from "node:fs"
import * as Path from "node:path"
import { describe, expect, it } from "vitest"
import { koreanOf, pages, read, root, translatable } from "../../scripts/docs/Pages.ts"
import { shelves } from "../../scripts/docs/Shelves.ts"
import { strayLinks, structureOf, withBlocksOf } from "../../scripts/docs/Structure.ts"

/**
 * Pages that have a Korean one, which a change of the English one has to follow. `npm run docs:sync` brings commands
 * and outputs over; headings, tables and text are to be written.
 */
const PAIRS = [
  "README.md",
  "docs/README.md",
  ...["campaign", "first-sale", "from-go", "load-test", "three-instances", "webhook-receiver"].map((page) =>
    `docs/tutorial/${page}.md`
  ),
  ...[
    ...["apply", "backup", "capacity", "cdc", "clients", "clients/go", "clients/java", "clients/python"],
    ...["console", "deployment", "events", "export", "kubernetes"],
    ...["redemption", "retention", "runbook", "stores", "troubleshooting", "upgrade", "webhooks", "zones"]
  ].map((page) => `docs/guides/${page}.md`),
  "docs/reference/errors.md"
]

const exists = (file: string) => existsSync(Path.join(root, file))

describe.each(PAIRS)("%s and its Korean page", (file) => {
  const korean = koreanOf(file)
  const [english, translated] = [structureOf(file, read(file)), structureOf(korean, read(korean))]

  it("have the same headings, commands and tables", () => {
    expect(translated.headings).toEqual(english.headings)
    expect(translated.blocks, "npm run docs:sync brings them over").toEqual(english.blocks)
    expect(translated.tables).toEqual(english.tables)
  })

  it("link to the same pages, the Korean one to Korean ones where there are", () => {
    expect(translated.links).toEqual(english.links)
    expect(strayLinks(korean, read(korean), exists)).toEqual([])
  })

  it("the Korean one is in Korean", () => {
    const prose = read(korean).replace(/^( *)```.*?^\1```$/gms, "").replace(/^<!--.*?-->\n/gms, "")
    const paragraphs = prose.split(/\n\s*\n/).filter((text) => /[a-z]/i.test(text))
    expect(paragraphs.filter((text) => !/[가-힣]/.test(text) && !/^\[English\]|^#/.test(text.trim()))).toEqual([])
  })
})

describe("Korean pages", () => {
  it("are in the list, all of them", () => {
    expect(translatable().filter((file) => exists(koreanOf(file))).sort()).toEqual([...PAIRS].sort())
  })

  it("are listed by their index, which marks pages that are there in English alone", () => {
    const items = shelves("docs/ko/README.md").flatMap(({ items }) => items)
    for (const { link, text } of items) {
      expect(text.endsWith("(영어)"), `${text} ${link}`).toBe(!link.startsWith("/ko/"))
    }
    const places = pages()
    const listed = new Set(items.map(({ link }) => link))
    for (const file of PAIRS.filter((page) => page !== "docs/README.md")) {
      const place = `/${places.get(koreanOf(file))!.replace(/\.md$/, "").replace(/(^|\/)index$/, "$1")}`
      expect(listed.has(place), place).toBe(true)
    }
  })
})

describe("what compares them", () => {
  const english = "# A\n\n[b](b.md)\n\n```sh\nls\n```\n\n| x | y |\n|---|---|\n| `a` | b |\n"
  const of = (text: string) => structureOf("docs/guides/stores.md", text)

  it("sees a heading, a block, a row, a name in a row, and a link", () => {
    const changes = [["# A", "## A"], ["ls", "ls -l"], ["| `a` | b |\n", ""], ["`a`", "`c`"], ["b.md", "c.md"]]
    for (const [from, to] of changes) {
      expect(of(english.replace(from!, to!))).not.toEqual(of(english))
    }
    expect(of(english.replace("# A", "# 가").replace("| b |", "| 나 |"))).toEqual(of(english))
  })

  it("takes the Korean page for the English one, and finds links past it", () => {
    const korean = structureOf("docs/ko/guides/stores.md", "[b](backup.md) [c](../../internals/model.md)")
    expect(korean.links).toEqual(["docs/guides/backup.md", "docs/internals/model.md"])
    const stray = (text: string) =>
      strayLinks("docs/ko/guides/stores.md", text, (file) => file === "docs/ko/guides/backup.md")
    expect(stray("[b](../../guides/backup.md) [b](backup.md) [c](../../guides/zones.md)"))
      .toEqual(["../../guides/backup.md"])
  })

  it("brings blocks over, each to its place", () => {
    const list = "- one\n\n  ```text\n  a\n  ```\n\n```sh run\nb\n```\n"
    expect(withBlocksOf(list, "- 하나\n\n  ```\n  ```\n\n```\n```\n")).toBe(list.replace("one", "하나"))
    expect(() => withBlocksOf(list, "```\n```\n")).toThrow("2 blocks in English, 1 in Korean")
  })
})
