// npm run k6 -- stress: a load scenario of test/load against a private service on its embedded stores, or BASE_URL.
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const bin = join(root, ".cache/bin")
const folder = join(root, "test/load")
const scenarios = readdirSync(folder)
  .filter((file) => file.endsWith(".js") && file !== "common.js")
  .map((file) => file.slice(0, -3))
  .sort()

const [scenario, ...more] = process.argv.slice(2)
if (scenario === undefined || !scenarios.includes(scenario)) {
  const summary = (name) => /^\/\/ (.*)/.exec(readFileSync(join(folder, `${name}.js`), "utf8"))?.[1] ?? ""
  console.error(
    "npm run k6 -- <scenario> [options of `k6 run`]\n\n" +
      scenarios.map((name) => `  ${name.padEnd(11)} ${summary(name)}`).join("\n") +
      "\n\nRATE (claims a second) and DURATION (e.g. 10s) change its size, P95 and P99 (milliseconds) its limits.\n" +
      "It runs against a private service with embedded stores, or against BASE_URL, which must be on this machine."
  )
  process.exit(scenario === undefined || scenario === "--help" ? 0 : 1)
}

const works = (command) => spawnSync(command, ["version"], { stdio: "ignore" }).status === 0
const find = () => ["k6", join(bin, "k6")].find(works)
let k6 = find()
if (k6 === undefined && works("go")) {
  console.error("building k6 with Go, once, which takes a minute or two (go install go.k6.io/k6@v1.8.1)")
  const env = { ...process.env, GOBIN: bin }
  spawnSync("go", ["install", "go.k6.io/k6@v1.8.1"], { stdio: ["ignore", "inherit", "inherit"], env })
  k6 = find()
}
if (k6 === undefined) {
  console.error(
    "k6 is not on the PATH and could not be built. Install it\n" +
      "(https://grafana.com/docs/k6/latest/set-up/install-k6/), or Go, with which this builds it\n" +
      "(go install go.k6.io/k6@v1.8.1), then run this again."
  )
  process.exit(1)
}

const given = process.env.BASE_URL?.trim() || undefined
// A load test of a foreign server would be an attack.
const hostname = given !== undefined && URL.canParse(given) ? new URL(given).hostname : ""
if (given !== undefined && !["127.0.0.1", "localhost", "[::1]"].includes(hostname)) {
  console.error(`BASE_URL must be a URL on this machine (127.0.0.1, localhost or [::1]), not ${given}`)
  process.exit(1)
}

const run = async (base) => {
  const summary = join(root, ".cache/k6", `${scenario}.json`)
  mkdirSync(join(root, ".cache/k6"), { recursive: true })
  rmSync(summary, { force: true })
  const options = ["--no-usage-report", `--summary-export=${summary}`]
  const child = spawn(k6, ["run", ...options, ...more, join(folder, `${scenario}.js`)], {
    stdio: "inherit",
    env: { ...process.env, BASE_URL: base.replace(/\/$/, "") }
  })
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("exit", resolve))
  if (!existsSync(summary)) {
    console.error("k6 left no summary")
    return code || 1
  }
  const { metrics } = JSON.parse(readFileSync(summary, "utf8"))
  const [answered, stored] = [metrics.coupons_issued?.count ?? 0, metrics.coupons_stored?.value]
  console.log(`${answered} claims were answered OK, and the campaign has issued ${stored} coupons`)
  if (answered === stored) return code ?? 1
  console.error("these must be the same")
  return 1
}

let code = 1
if (given !== undefined) code = await run(given)
else {
  const { startInstance } = await import("../test/support/Instance.ts")
  const instance = await startInstance()
  try {
    console.log(`a private service with embedded stores runs at ${instance.url}`)
    code = await run(instance.url)
  } finally {
    await instance.stop()
  }
}
process.exit(code)
