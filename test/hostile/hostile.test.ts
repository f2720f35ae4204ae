import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { inLongProfile } from "../support/profile.ts"
import { attacks } from "./attacks.ts"
import { flawsOf } from "./codeAttacks.ts"
import * as Rig from "./Rig.ts"
import * as Trial from "./trial.ts"

/** Of the settings that bound memory. */
const DEFAULTS = { heldBytes: 67_108_864, maxConnections: 20_000, maxInFlight: 10_000 }

/** A short form of `npm run hostile`: what does not depend on how fast the machine is. */
const SECONDS = inLongProfile(2, 1)

/**
 * Attacks that bring at once what takes an instance a second of its core. Beside other tests that is more time than an
 * honest client waits, so here they prove only that the instance lives, within its memory.
 */
const BURSTS = new Set(["pages-unread", "watch", "reflection", "last-byte", "last-byte-http1", "one-byte-chunks"])

/**
 * At least one of each kind; `npm run hostile` does all. Of most bursts `memory.test.ts` proves the same, with bounds
 * that are narrower.
 */
const SHORT = ["pages-brotli", "pages-unread", "pipelining", "rubbish", "operator-unread-wrong-key", "guesses"]
const LONG = [...SHORT, ...BURSTS, "pages", "operator-unread", "guesses-connections"]
const names = new Set(inLongProfile(LONG, SHORT))
const ran = attacks.filter(({ name }) => names.has(name))

describe("an honest client beside an attacker", () => {
  let rig: Rig.Rig
  let calm: Trial.Trial
  beforeAll(async () => {
    rig = await Rig.make({ database: undefined, envoy: undefined })
    calm = await Trial.run(rig, undefined, SECONDS)
  })
  afterAll(() => rig.stop())

  it("is tried with attacks that there are", () => expect(ran).toHaveLength(names.size))

  it.each(ran)("$name: $what", async (attack) => {
    let [trial, beside] = [await Trial.run(rig, attack, SECONDS), calm]
    // Other tests take the cores at times: what stands, stands in one of three, beside what there is without an attack
    // at that time.
    for (let n = 1; n < 3 && trial.alive && !BURSTS.has(attack.name) && !Trial.isServed(trial, beside); n++) {
      beside = await Trial.run(rig, undefined, SECONDS)
      trial = await Trial.run(rig, attack, SECONDS)
    }
    expect(trial.bytes).toBeGreaterThan(0)
    expect(trial.alive).toBe(true)
    expect(flawsOf(trial)).toBeUndefined()
    expect(trial.rss.most).toBeLessThan(Rig.memoryBound(DEFAULTS))
    if (BURSTS.has(attack.name)) return
    expect(Trial.isServed(trial, beside), JSON.stringify([trial.honest, beside.honest])).toBe(true)
  })
})
