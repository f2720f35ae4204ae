#!/usr/bin/env node
// Starts the command on the Node that the project installs, whichever Node runs this. Uses the bundle of
// scripts/build.mjs, which starts three times as fast, unless it is missing or older than its sources. Those are
// TypeScript, which a newer Node runs as it is.
import { spawn } from "node:child_process"
import { existsSync, readdirSync, statSync } from "node:fs"
import { fileURLToPath } from "node:url"

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url))
const brought = ["node_modules/node/bin/node", "node_modules/.bin/node"].map(path).find(existsSync)
if (!existsSync(path("node_modules/effect"))) {
  console.error("coupon: its dependencies are not installed; run `npm ci` in its checkout, or `npm start`, which does")
  process.exit(1)
}
const bundled = () => {
  try {
    const builtAt = statSync(path("dist/app/.built")).mtimeMs
    const files = readdirSync(path("src"), { recursive: true })
    return files.every((file) => statSync(path(`src/${file}`)).mtimeMs < builtAt)
  } catch {
    return false
  }
}
const [major, minor] = process.versions.node.split(".").map(Number)
// The bundle checks its own Node; TypeScript needs one that strips types.
const program = brought === undefined && major < 22 ? undefined : bundled() ? "dist/app/cli.js" : "src/cli.ts"
const stripsTypes = major > 23 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18)
if (program === undefined || (program === "src/cli.ts" && brought === undefined && !stripsTypes)) {
  console.error(`coupon: it needs Node 22.18 or later (this is ${process.version}), or the one that \`npm ci\` brings`)
  process.exit(1)
}
const child = spawn(brought ?? process.execPath, [path(program), ...process.argv.slice(2)], {
  stdio: "inherit",
  env: { NODE_COMPILE_CACHE: path(".cache/compile"), ...process.env }
})
// A terminal's Ctrl-C reaches both processes; a supervisor's signal reaches only this one.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => signal === "SIGINT" || child.kill(signal))
}
child.once("error", (error) => {
  console.error(`coupon: cannot start ${brought ?? process.execPath}: ${error.message}`)
  process.exit(1)
})
child.once("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" || signal === "SIGTERM" ? 130 : 1)))
