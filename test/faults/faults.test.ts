import { describe, expect, it } from "vitest"
import { isLongProfile } from "../support/profile.ts"
import { privateDatabases } from "../support/servers.ts"
import { run, type RunResult } from "./run.ts"
import { faultKinds, oneOfEach, schedule } from "./Schedule.ts"

/** In the long profile three seeds at the pace of `npm run faults`; else one, with every fault in its time. */
const SEEDS = isLongProfile ? [1, 2, 3] : [1]
const SECONDS = isLongProfile ? 13 : 20
const pace = isLongProfile ? {} : { everyMillis: oneOfEach(SECONDS), clients: 16 }

/** What is right must hold on any machine, however busy; how fast, `npm run faults` checks. */
const unhurried = { leastOks: 50, patienceMillis: 60_000 }

/** A real MySQL where there is one: it is what production runs on. */
const database = privateDatabases().at(-1)!

describe(`the service under faults, on ${database} and Redis`, () => {
  it("has every kind of fault, at times that only the seed decides", () => {
    const plan = (seed: number) => schedule(seed, SECONDS, 3, pace.everyMillis)
    const plans = SEEDS.map(plan)
    expect(new Set(plans.flat().map(({ kind }) => kind))).toEqual(new Set(Object.keys(faultKinds)))
    expect(SEEDS.map(plan)).toEqual(plans)
    expect(plan(1)).not.toEqual(plan(2))
  })

  it.each(SEEDS)("keeps every invariant, seed %i", async (seed) => {
    const lines: Array<string> = []
    const result: RunResult = await run({
      seed,
      seconds: SECONDS,
      database,
      say: (line) => lines.push(line),
      ...pace,
      ...unhurried
    })
    expect(result.violations, lines.join("\n")).toEqual([])
    expect(result.inDoubt.issued).toBeGreaterThan(0)
    expect(result.inDoubt.notIssued).toBeGreaterThan(0)
  }, 300_000)
})
