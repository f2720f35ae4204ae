// npm run conformance [-- --vv --run '**/unimplemented']: Connect's official conformance suite against this server
// (test/conformance). The suite is a Go program: taken from the PATH or .cache/bin, otherwise built with Go.
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { bin, goProgram } from "./goProgram.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))

const run = (command, args, options = {}) => spawnSync(command, args, { cwd: root, stdio: "inherit", ...options })

const program = goProgram({
  name: "connectconformance",
  source: "connectrpc.com/conformance/cmd/connectconformance@latest",
  ask: ["--version"],
  releases: "https://github.com/connectrpc/conformance/releases"
})

// The Node that the project installs, if npm has installed it.
const node = existsSync(join(root, "node_modules/.bin/node")) ? join(root, "node_modules/.bin/node") : process.execPath
const known = "test/conformance/known-failing.txt"
const listed = readFileSync(join(root, known), "utf8").split("\n")
  .some((line) => line.trim() !== "" && !line.startsWith("#"))

const { status, signal, error } = run(program, [
  ...["--mode", "server", "--conf", "test/conformance/config.yaml"],
  ...listed ? ["--known-failing", `@${known}`] : [],
  ...process.argv.slice(2),
  ...["--", node, "test/conformance/server.ts"]
], { env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` } })
if (error !== undefined || signal !== null) {
  console.error(`the suite did not come to its end: ${error?.message ?? signal}`)
}
process.exit(status ?? 1)
