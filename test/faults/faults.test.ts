import { describe, expect, it } from "vitest"
import { privateDatabases } from "../support/servers.ts"
import { run, type RunResult } from "./run.ts"
import { faultKinds, schedule } from "./Schedule.ts"

const SECONDS = 13
const SEEDS = [1, 2, 3]

/** What is right must hold on any machine, however busy; how fast, `npm run faults` checks. */
const unhurried = { leastOks: 50, patienceMillis: 60_000 }

/** A real MySQL where there is one: it is what production runs on. */
const database = privateDatabases().at(-1)!

describe(`the service under faults, on ${database} and Redis`, () => {
  it("has every kind of fault in the short profile, at times that only the seed decides", () => {
    const plans = SEEDS.map((seed) => schedule(seed, SECONDS, 3))
    expect(new Set(plans.flat().map(({ kind }) => kind))).toEqual(new Set(Object.keys(faultKinds)))
    expect(SEEDS.map((seed) => schedule(seed, SECONDS, 3))).toEqual(plans)
    expect(plans[0]).not.toEqual(plans[1])
  })

  it.each(SEEDS)("keeps every invariant, seed %i", async (seed) => {
    const lines: Array<string> = []
    const result: RunResult = await run({
      seed,
      seconds: SECONDS,
      database,
      say: (line) => lines.push(line),
      ...unhurried
    })
    expect(result.violations, lines.join("\n")).toEqual([])
    expect(result.inDoubt.issued).toBeGreaterThan(0)
    expect(result.inDoubt.notIssued).toBeGreaterThan(0)
  }, 300_000)
})
