// Builds the console (console/) into dist/console, which the service serves from memory: each file, and beside it what
// it is in brotli and gzip, so that no request is compressed while coupons are issued. Does nothing if dist/console is
// newer than its sources.
//   node scripts/console.mjs [--force]
//   node scripts/console.mjs --messages   compiles only its messages, which the type check reads
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { brotliCompressSync, constants, gzipSync } from "node:zlib"

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url))
const out = path("dist/console")
const stamp = `${out}/.built`
const isForced = process.argv.includes("--force")

/** Written by the build itself. */
const generated = new Set(["console/src/paraglide"])

const newest = (name) => {
  if (generated.has(name)) return 0
  const stat = statSync(path(name))
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(stat.mtimeMs, ...readdirSync(path(name)).map((entry) => newest(`${name}/${entry}`)))
}

// One at a time: builds of several test files, or of a start beside them, would write the same messages.
const lock = path("dist/console-lock")
const isAlive = (pid) => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === "EPERM"
  }
}
const locked = async () => {
  mkdirSync(path("dist"), { recursive: true })
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" })
      break
    } catch (error) {
      if (error.code !== "EEXIST") throw error
    }
    try {
      const pid = Number(readFileSync(lock, "utf8"))
      // A build that was killed leaves its lock behind.
      if (pid > 0 && !isAlive(pid)) rmSync(lock, { force: true })
    } catch (error) {
      if (error.code !== "ENOENT") throw error
    }
    await pause(100)
  }
  process.on("exit", () => rmSync(lock, { force: true }))
}

if (process.argv.includes("--messages")) {
  const compiled = path("console/src/paraglide/messages.js")
  const sources = ["console/messages", "console/messagesPlugin.js", "console/messages.config.ts", "package-lock.json"]
  const isOld = () => !existsSync(compiled) || Math.max(...sources.map(newest)) >= statSync(compiled).mtimeMs
  if (isForced || isOld()) await locked()
  if (isForced || isOld()) {
    const { compile } = await import("@inlang/paraglide-js")
    const { messages } = await import("../console/messages.config.ts")
    await compile(messages)
    // The compiler leaves a file as it is that would be the same.
    writeFileSync(compiled, readFileSync(compiled))
  }
  process.exit(0)
}

// Of the service, the page imports what it shares with other clients.
const shared = ["base", "domain", "contract", "client"].map((room) => `src/${room}`)
const inputs = ["console", ...shared, "scripts/console.mjs", "package.json", "package-lock.json"]
const isNew = () => existsSync(stamp) && Math.max(...inputs.map(newest)) < statSync(stamp).mtimeMs
if (!isForced && isNew()) process.exit(0)
await locked()
// Another process may have built it meanwhile.
if (!isForced && isNew()) process.exit(0)

const vite = await import("vite").catch(() => undefined)
if (vite === undefined) {
  // An installation without development packages runs the service, with the console that it has, or without one.
  console.error("the console is not built: Vite is missing, a development package (npm ci --include=dev installs it)")
  process.exit(isForced ? 1 : 0)
}

// Moved into place as a whole, because another process may be reading it.
const draft = path(`dist/console-draft-${process.pid}`)
const { output } = await vite.build({
  configFile: path("console/vite.config.ts"),
  root: path("console"),
  base: "/console/",
  logLevel: "warn",
  build: { outDir: draft, emptyOutDir: true, sourcemap: false }
})

/** Below this, headers take more than compression saves. */
const LEAST_BYTES = 512

const compress = (folder) => {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const file = `${folder}/${entry.name}`
    if (entry.isDirectory()) compress(file)
    else {
      const content = readFileSync(file)
      if (content.length < LEAST_BYTES) continue
      const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length }
      const smaller = [["br", brotliCompressSync(content, { params })], ["gz", gzipSync(content, { level: 9 })]]
      for (const [suffix, bytes] of smaller) {
        if (bytes.length < content.length) writeFileSync(`${file}.${suffix}`, bytes)
      }
    }
  }
}
compress(draft)

/** The packages that these modules are of, each as name@version. */
const packagesOf = (modules) => {
  const folders = modules.flatMap((id) => /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1] ?? [])
  return [...new Set(folders)].map((folder) => {
    const { name, version } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"))
    return `${name}@${version}`
  }).sort()
}
const modules = output.flatMap(({ modules = {} }) =>
  Object.entries(modules).filter(([, { renderedLength }]) => renderedLength > 0).map(([id]) => id))
// For the bill of materials (scripts/sbom.mjs). Not served: its name begins with a dot.
writeFileSync(`${draft}/.packages.json`, JSON.stringify(packagesOf(modules)))
writeFileSync(`${draft}/.built`, "")
rmSync(out, { recursive: true, force: true })
renameSync(draft, out)
