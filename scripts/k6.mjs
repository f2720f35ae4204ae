// npm run k6 -- stress: a load scenario of test/load against a private service on its embedded stores, or --url.
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { goProgram } from "./goProgram.mjs"
import { endCampaign, flawsOf, isPlainlyTest, readBooks } from "./LoadBooks.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const folder = join(root, "test/load")
const scenarios = readdirSync(folder)
  .filter((file) => file.endsWith(".js") && file !== "common.js")
  .map((file) => file.slice(0, -3))
  .sort()

const { positionals, tokens, values } = parseArgs({
  allowPositionals: true,
  strict: false,
  tokens: true,
  options: { url: { type: "string" }, key: { type: "string" }, yes: { type: "boolean" }, help: { type: "boolean" } }
})
const [scenario] = positionals
const usage = () => {
  const summary = (name) => /^\/\/ (.*)/.exec(readFileSync(join(folder, `${name}.js`), "utf8"))?.[1] ?? ""
  return "npm run k6 -- <scenario> [--url URL] [--key KEY] [--yes] [-- options of `k6 run`]\n\n" +
    scenarios.map((name) => `  ${name.padEnd(11)} ${summary(name)}`).join("\n") +
    "\n\nRATE (claims a second) and DURATION (e.g. 10s) change its size, P95 and P99 (milliseconds) its limits.\n" +
    "It runs against a private service with embedded stores, or against --url (BASE_URL). That takes a key of the\n" +
    "role OPERATOR: --key or, since other users of a machine can see arguments, COUPON_API_KEY. It opens a\n" +
    "campaign, compares the books by the API afterwards, and ends the campaign. --yes is for a target that is not\n" +
    "plainly a test."
}
if (values.help === true || scenario === undefined || !scenarios.includes(scenario)) {
  const mistake = values.help === true || scenario === undefined ? "" : `there is no scenario ${scenario}\n\n`
  console.error(mistake + usage())
  process.exit(values.help === true || scenario === undefined ? 0 : 1)
}
const terminator = tokens.find(({ kind }) => kind === "option-terminator")
const more = terminator === undefined ? [] : process.argv.slice(2).slice(terminator.index + 1)
const unknown = Object.keys(values).filter((name) => !["url", "key", "yes", "help"].includes(name))
if (unknown.length > 0) {
  console.error(`unknown option --${unknown[0]}; options of k6 itself stand after --\n\n${usage()}`)
  process.exit(1)
}

const given = (values.url ?? process.env.BASE_URL ?? "").trim().replace(/\/$/, "") || undefined
if (given !== undefined && !(URL.canParse(given) && /^https?:$/.test(new URL(given).protocol))) {
  console.error(`--url must be a URL of http or https, not ${given}`)
  process.exit(1)
}
if (given !== undefined && !isPlainlyTest(new URL(given).hostname) && values.yes !== true) {
  console.error(
    `${new URL(given).hostname} may be production: a load test of a service that is in use is an attack on it.\n` +
      "If it is meant to be tested, say --yes."
  )
  process.exit(1)
}
const key = values.key ?? process.env.COUPON_API_KEY

const k6 = goProgram({
  name: "k6",
  source: "go.k6.io/k6@v1.8.1",
  ask: ["version"],
  releases: "https://grafana.com/docs/k6/latest/set-up/install-k6/"
})

const run = async (base) => {
  const summary = join(root, ".cache/k6", `${scenario}.json`)
  mkdirSync(join(root, ".cache/k6"), { recursive: true })
  rmSync(summary, { force: true })
  const options = ["--no-usage-report", `--summary-export=${summary}`]
  const child = spawn(k6, ["run", ...options, ...more, join(folder, `${scenario}.js`)], {
    stdio: "inherit",
    env: { ...process.env, BASE_URL: base, ...key === undefined ? {} : { COUPON_API_KEY: key } }
  })
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("exit", resolve))
  if (!existsSync(summary)) {
    console.error("k6 left no summary")
    return code || 1
  }
  const { metrics } = JSON.parse(readFileSync(summary, "utf8"))
  const answered = metrics.coupons_issued?.count ?? 0
  const inDoubt = metrics.coupons_in_doubt?.count ?? 0
  const campaignId = metrics.campaign_id?.value
  if (campaignId === undefined) {
    console.error("no campaign was opened")
    return code || 1
  }
  const books = await readBooks(base, key, campaignId)
  const flaws = flawsOf(books, { answered, inDoubt })
  for (const flaw of flaws) console.error(flaw)
  if (base === given) await endCampaign(base, key, campaignId)
  const doubt = inDoubt === 0 ? "" : `, ${inDoubt} had no answer that says`
  console.log(`${answered} claims were answered OK${doubt}, and the campaign has issued ${books.issued} coupons`)
  return flaws.length === 0 ? code ?? 1 : 1
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
