import { parseArgs } from "node:util"
import { findEnvoy } from "../envoy/Envoy.ts"
import { privateDatabases, type DatabaseKind } from "../support/privateServers.ts"
import { attacks } from "./attacks.ts"
import { flawsOf } from "./codeAttacks.ts"
import { HEAD, row, write, type Report } from "./report.ts"
import * as Rig from "./Rig.ts"
import * as Trial from "./trial.ts"

const usage = `Attacks the service as an anonymous client may, beside an honest client, and shows what that one got.

  npm run hostile -- [--seconds 15] [--only NAME,NAME] [--on embedded|mysql|mariadb] [--envoy] [--write-docs]

  --seconds     how long each attack goes on (default 15)
  --only        some attacks
  --on          the stores; twice for two (default: embedded, and the first database that is here)
  --envoy       through Envoy, too, where there is one
  --verbose     shows each outcome of the honest client's calls
  --write-docs  writes the tables into docs/reference/hostile.md

Attacks:
${attacks.map(({ name, what }) => `  ${name.padEnd(20)} ${what}`).join("\n")}
`

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "15" },
    only: { type: "string" },
    on: { type: "string", multiple: true },
    envoy: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
    "write-docs": { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false }
  }
})

const chosen = (): ReadonlyArray<(typeof attacks)[number] | undefined> => {
  if (values.only === undefined) return [undefined, ...attacks]
  return [undefined, ...values.only.split(",").map((name) => {
    const found = attacks.find((attack) => attack.name === name)
    if (found === undefined) throw new Error(`no such attack: ${name}`)
    return found
  })]
}

const tryAll = async (
  database: DatabaseKind | undefined,
  envoy: string | undefined,
  seconds: number
): Promise<Report> => {
  const rig = await Rig.make({ database, envoy })
  console.log(`\n${rig.name}\n${HEAD}`)
  const trials: Array<Trial.Trial> = []
  try {
    for (const attack of chosen()) {
      const trial = await Trial.run(rig, attack, seconds)
      trials.push(trial)
      console.log(row(trial))
      const flaws = flawsOf(trial)
      if (flaws !== undefined) console.log(flaws)
      if (values.verbose) console.log(JSON.stringify({ ...trial.honest, answers: trial.answers }))
    }
  } finally {
    await rig.stop()
  }
  return { rig: rig.name, trials }
}

/** Each attack leaves the honest client what it needs, and gets nothing that it must not have. */
const stands = ({ trials: [calm, ...trials] }: Report): boolean =>
  trials.every((trial) => trial.alive && Trial.isServed(trial, calm!) && flawsOf(trial) === undefined)

const main = async (): Promise<boolean> => {
  if (values.help) {
    console.log(usage)
    return true
  }
  const seconds = Number(values.seconds)
  if (!(seconds >= 1)) throw new Error(`not a number of seconds: ${values.seconds}`)
  const envoy = values.envoy ? findEnvoy() : undefined
  if (values.envoy && envoy === undefined) throw new Error("there is no Envoy here; npm run test:e2e fetches one")
  const stores = values.on ?? ["embedded", ...privateDatabases().slice(0, 1)]
  const reports: Array<Report> = []
  for (const through of envoy === undefined ? [undefined] : [undefined, envoy]) {
    for (const store of stores) {
      reports.push(await tryAll(store === "embedded" ? undefined : store as DatabaseKind, through, seconds))
    }
  }
  if (values["write-docs"]) write(reports)
  return reports.every(stands)
}

process.exitCode = await main() ? 0 : 1
