// npm run docs:pictures: draws the pictures of all pages that are not drawn so far, and removes those that no page has.
// It needs Chromium (CHROMIUM, or on the PATH) and, once, the package mermaid from npm.
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { chromium } from "playwright-core"
import { pages, read, root } from "./Pages.ts"
import { fileOf, folder, picturesOf } from "./Pictures.ts"

const VERSION = "11.4.1"
const cache = join(root, ".cache/mermaid")
const library = join(cache, "package/dist/mermaid.min.js")

const texts = [...new Set([...pages().keys()].flatMap((file) => picturesOf(read(file))))]
const wanted = new Set(texts.map(fileOf))
mkdirSync(join(root, folder), { recursive: true })
for (const name of readdirSync(join(root, folder))) {
  if (!wanted.has(`${folder}/${name}`)) rmSync(join(root, folder, name))
}

const missing = texts.filter((text) => !existsSync(join(root, fileOf(text))))
if (missing.length > 0) {
  if (!existsSync(library)) {
    mkdirSync(cache, { recursive: true })
    execFileSync("npm", ["pack", "--silent", `mermaid@${VERSION}`], { cwd: cache, stdio: "inherit" })
    execFileSync("tar", ["-xzf", `mermaid-${VERSION}.tgz`, "package/dist/mermaid.min.js"], { cwd: cache })
  }
  const browser = await chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium" })
  try {
    const page = await browser.newPage()
    await page.addScriptTag({ path: library })
    for (const text of missing) {
      const svg = await page.evaluate(`(async () => {
        mermaid.initialize({
          startOnLoad: false, theme: "neutral", htmlLabels: false, flowchart: { htmlLabels: false },
          fontFamily: "sans-serif", deterministicIds: true
        })
        return (await mermaid.render("picture", ${JSON.stringify(text)})).svg
      })()`)
      writeFileSync(join(root, fileOf(text)), `${String(svg)}\n`)
      console.log(fileOf(text))
    }
  } finally {
    await browser.close()
  }
}
