import { execFile } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { networkInterfaces } from "node:os"
import * as Path from "node:path"
import { promisify } from "node:util"
import { beforeAll, describe, expect, it } from "vitest"
import { apiPage, type OpenApi } from "../../scripts/docs/ApiPage.ts"
import { rewrite } from "../../scripts/docs/Links.ts"
import { englishOnly, pages, read, root } from "../../scripts/docs/Pages.ts"
import { drawn, fileOf, folder, picturesOf } from "../../scripts/docs/Pictures.ts"
import { shelves } from "../../scripts/docs/Shelves.ts"
import { spawnGuarded } from "../support/guardian.ts"
import { nodeProgram } from "../support/Instance.ts"
import { freePort } from "../support/servers.ts"

const run = promisify(execFile)

describe("the site of the documents", () => {
  const built = Path.join(root, "dist/docs")
  const page = (place: string) => readFileSync(Path.join(built, place.replace(/\.md$/, ".html")), "utf8")
  beforeAll(async () => {
    await run(nodeProgram, ["scripts/docs/main.ts", "build"], { cwd: root })
  })

  it("has every page, in both languages", () => {
    const missing = [...pages().values(), "reference/openapi.md"].filter((place) =>
      !existsSync(Path.join(built, place.replace(/\.md$/, ".html"))))
    expect(missing).toEqual([])
    for (const file of englishOnly()) expect(page(`ko/${pages().get(file)}`)).toContain("영어로만 제공됩니다")
  })

  it("lists every page of its index in the sidebar, and the files that are no pages have copies", () => {
    for (const { items } of shelves("docs/README.md")) {
      for (const { link } of items) {
        const file = link === "/" ? "index.html" : link.startsWith("/files/") ? link : `${link}.html`
        expect(existsSync(Path.join(built, file)), link).toBe(true)
      }
    }
  })

  it("has the pictures of its pages, as pictures", () => {
    const pictures = ["index.md", "ko/index.md", "internals/benchmarks.md", "guides/console.md"].flatMap((place) =>
      Array.from(page(place).matchAll(/<img\b[^>]*\bsrc="([^"]+)"/g), ([, url]) => url!))
    expect(pictures.length).toBeGreaterThan(10)
    for (const url of pictures) {
      expect(url).toMatch(/\.(?:svg|webp)$/)
      expect(existsSync(Path.join(built, url)), url).toBe(true)
    }
  })

  it("loads nothing from other hosts", () => {
    for (const place of ["index.md", "contents.md", "reference/openapi.md"]) {
      const loaded = page(place).matchAll(/<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="([^"]+)"/g)
      expect(Array.from(loaded, ([, url]) => url!).filter((url) => /^(?:https?:)?\/\//.test(url))).toEqual([])
    }
  })

  it("has the anchors that links of the pages name", () => {
    const html = page("guides/stores.md")
    expect(html).toContain("id=\"the-urls\"")
    expect(html).toContain("id=\"users-with-the-least-rights\"")
  })

  it("is served on loopback alone", async () => {
    const port = await freePort()
    const server = spawnGuarded(nodeProgram, ["scripts/docs/main.ts", "serve", "--port", String(port)], { cwd: root })
    try {
      const status = () => fetch(`http://127.0.0.1:${port}/ko/`).then((answer) => answer.status, () => 0)
      await expect.poll(status).toBe(200)
      const others = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
        .filter(({ family, internal }) => !internal && family === "IPv4")
      for (const { address } of others) await expect(fetch(`http://${address}:${port}/`)).rejects.toThrow()
    } finally {
      server.kill()
    }
  })

  it("fails at a link that leads nowhere", () => {
    const links = (text: string) => () => rewrite("docs/guides/stores.md", text, pages())
    expect(links("[a](nowhere.md)")).toThrow("docs/guides/stores.md links to nowhere.md, which is no file")
    expect(links("[a](../../test)")).toThrow("no file")
    expect(links("```\n[a](nowhere.md)\n```")()).toMatchObject({ files: [] })
    expect(links("[a](backup.md#back-up), [b](../../LICENSE)")()).toEqual({
      text: "[a](/guides/backup.md#back-up), [b](/files/LICENSE.txt)",
      files: ["LICENSE"]
    })
  })
})

describe("the pictures of the site", () => {
  it("are drawn, all of them as they are written now (else: npm run docs:pictures)", () => {
    const wanted = new Set([...pages().keys()].flatMap((file) => picturesOf(read(file)).map(fileOf)))
    expect(wanted.size).toBeGreaterThan(3)
    expect(readdirSync(Path.join(root, folder)).map((name) => `${folder}/${name}`).sort()).toEqual([...wanted].sort())
  })

  it("stand in the place of their text, which stays where it is not drawn", () => {
    const [picture] = picturesOf(read("README.md"))
    expect(drawn(`a\n\n\`\`\`mermaid\n${picture}\`\`\`\n`)).toEqual({
      text: `a\n\n![diagram](/${fileOf(picture!).replace(/^/, "files/")})\n`,
      files: [fileOf(picture!)]
    })
    expect(drawn("```mermaid\nflowchart LR\n```\n")).toEqual({ text: "```text\nflowchart LR\n```\n", files: [] })
  })
})

describe("the page of the API", () => {
  const document = JSON.parse(read("src/contract/gen/openapi.json")) as OpenApi
  const text = apiPage(document)

  it("has every call, and every field of its request", () => {
    for (const path of Object.keys(document.paths)) expect(text).toContain(`\`POST ${path}\``)
    expect(text).toContain("| `userId` | string or integer (int64) | Any positive 64-bit integer. |")
  })

  it("links to types that it has", () => {
    const headings = new Set(Array.from(text.matchAll(/^###? (.+)$/gm), ([, heading]) =>
      heading!.toLowerCase().replace(/[^\w -]/g, "").replaceAll(" ", "-")))
    const links = Array.from(text.matchAll(/\]\(#([^)]+)\)/g), ([, link]) => link!)
    expect(links.length).toBeGreaterThan(50)
    expect(links.filter((link) => !headings.has(link))).toEqual([])
  })
})
