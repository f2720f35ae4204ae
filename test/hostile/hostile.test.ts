import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { attacks } from "./attacks.ts"
import * as Rig from "./Rig.ts"
import * as Trial from "./trial.ts"

/** A short form of `npm run hostile`: what does not depend on how fast the machine is. */
const SECONDS = 2

/** Attacks that the service stands. */
const standing = attacks.filter(({ name }) =>
  /^(?:pipelining(?:-tiny|-claims)?|operator-unread(?:-wrong-key)?)$/.test(name))

describe("an honest client beside an attacker", () => {
  let rig: Rig.Rig
  let calm: Trial.Trial
  beforeAll(async () => {
    rig = await Rig.make({ database: undefined, envoy: undefined })
    calm = await Trial.run(rig, undefined, SECONDS)
  })
  afterAll(() => rig.stop())

  it.each(standing)("$name: $what", async (attack) => {
    const trial = await Trial.run(rig, attack, SECONDS)
    expect(trial.bytes).toBeGreaterThan(0)
    expect(trial.alive).toBe(true)
    expect(trial.rss.most).toBeLessThan(Rig.MEMORY_BOUND)
    for (const kind of ["claims", "health", "operators"] as const) {
      const ratio = Trial.share(trial.honest[kind]) / Trial.share(calm.honest[kind])
      expect(ratio, `${kind}: ${JSON.stringify(trial.honest[kind])}`).toBeGreaterThanOrEqual(0.9)
    }
  })
})
