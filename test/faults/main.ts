import { parseArgs } from "node:util"
import { privateDatabases, type DatabaseKind } from "../support/privateServers.ts"
import { runMutants } from "./mutants.ts"
import { writeMutants, writeRuns } from "./report.ts"
import { speedUps } from "./Rig.ts"
import { run, type RunResult } from "./run.ts"
import { faultKinds, schedule, show } from "./Schedule.ts"

const usage = `Runs the service under faults and checks every invariant of the protocol.

  npm run faults -- [--seed 7 | --seeds 1..20] [--seconds 40] [--db mysql|mariadb] [--json] [--write-docs]
  npm run faults -- --mutants [--only NAME] [--db mysql|mariadb] [--json] [--write-docs]

  --seed, --seeds  what decides the faults and the load; a seed's schedule is printed first (default 1)
  --seconds        length of the load with faults (default 40)
  --db             the ledger (default: the one that is here; MYSQLD names a MySQL that is not on the PATH)
  --mutants        breaks the program in known ways, one at a time, and shows which check notices
  --json           one JSON object a result on standard output; all else on standard error
  --write-docs     writes the results into docs/internals/faults.md

Faults:
${Object.entries(faultKinds).map(([kind, text]) => `  ${kind.padEnd(14)} ${text}`).join("\n")}
`

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string" },
    seconds: { type: "string", default: "40" },
    db: { type: "string" },
    mutants: { type: "boolean", default: false },
    only: { type: "string" },
    json: { type: "boolean", default: false },
    "write-docs": { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false }
  }
})

const say = (line: string): void => {
  if (values.json) console.error(line)
  else console.log(line)
}

const seedsOf = (): ReadonlyArray<number> => {
  const [first, last] = (values.seeds ?? values.seed ?? "1").split("..").map(Number)
  if (!Number.isInteger(first) || !Number.isInteger(last ?? first) || (last ?? first!) < first!) {
    throw new Error(`not seeds: ${values.seeds ?? values.seed}`)
  }
  return Array.from({ length: (last ?? first!) - first! + 1 }, (_, k) => first! + k)
}

const databaseOf = (): DatabaseKind => {
  const here = privateDatabases()
  const kind = values.db ?? here[0]
  if (kind === undefined || !here.includes(kind as DatabaseKind)) {
    throw new Error(`no server program of ${kind ?? "any database"} here; there is: ${here.join(", ") || "none"}`)
  }
  return kind as DatabaseKind
}

const summary = (result: RunResult): string => {
  const { changes, deadlocks, events, inDoubt, violations, watched } = result
  const faults = Object.values(result.fired).reduce((sum, n) => sum + n, 0)
  return `seed ${result.seed} on ${result.database}: ` +
    `${violations.length === 0 ? "passed" : `${violations.length} VIOLATIONS`}; ` +
    `${result.claims} claims ${JSON.stringify(result.answers)}; ${faults} faults; ` +
    `in doubt ${inDoubt.issued} issued, ${inDoubt.notIssued} not; ${watched.reservations} reservations watched, ` +
    `${changes.acknowledged} of ${changes.attempted} changes acknowledged, ` +
    `${watched.samples} samples; ${events.received} events received, ${events.streams} streams, ` +
    `of failing receivers ${JSON.stringify(events.treated)}; deadlocks ${JSON.stringify(deadlocks)}; ` +
    `recovered in ${result.recoveryMillis} ms`
}

const main = async (): Promise<boolean> => {
  if (values.help) {
    console.log(usage)
    return true
  }
  const database = databaseOf()
  if (values.mutants) {
    const deaths = await runMutants(database, say, values.only)
    if (values.json) for (const death of deaths) console.log(JSON.stringify(death))
    if (values["write-docs"]) writeMutants(deaths)
    return deaths.every(({ killedBy, soundly }) => soundly && killedBy.length > 0)
  }
  const seconds = Number(values.seconds)
  if (!(seconds >= 1)) throw new Error(`not a number of seconds: ${values.seconds}`)
  const settings = Object.entries(speedUps).map(([name, value]) => `${name}=${value}`).join(", ")
  say(`settings of the instances, faster than production: ${settings}`)
  const results: Array<RunResult> = []
  for (const seed of seedsOf()) {
    say(`seed ${seed}, ${seconds} s, ${database}; schedule:`)
    for (const fault of schedule(seed, seconds, 3)) say(`  ${show(fault)}`)
    const result = await run({ seed, seconds, database, say })
    results.push(result)
    say(summary(result))
    if (values.json) console.log(JSON.stringify(result))
    if (values["write-docs"]) writeRuns([result])
  }
  if (results.length > 1) {
    say(`${results.filter(({ violations }) => violations.length === 0).length} of ${results.length} runs passed`)
  }
  return results.every(({ violations }) => violations.length === 0)
}

process.exitCode = await main().then((passed) => (passed ? 0 : 1), (error: unknown) => {
  console.error(error)
  // The faults that were still to come are not waited for.
  process.exit(2)
})
