import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { attacks } from "./attacks.ts"
import { flawsOf } from "./codeAttacks.ts"
import * as Rig from "./Rig.ts"
import * as Trial from "./trial.ts"

/** Of the settings that bound memory. */
const DEFAULTS = { heldBytes: 67_108_864, maxConnections: 20_000, maxInFlight: 10_000 }

/** A short form of `npm run hostile`: what does not depend on how fast the machine is. */
const SECONDS = 2

/**
 * Attacks that bring at once what takes an instance a second of its core. Beside other tests that is more time than an
 * honest client waits, so here they prove only that the instance lives, within its memory.
 */
const BURSTS = new Set([
  ...["pages-burst", "pages-unread", "pages-unread-http1", "watch", "reflection", "pipelining-grpc-web"],
  ...["last-byte", "last-byte-grpc", "last-byte-http1", "last-byte-operator", "one-byte-chunks", "unfinished"]
])

/** At least one of each kind; `npm run hostile` does all. */
const SHORT = new Set([
  ...["pages", "pages-brotli", "pages-unread", "watch", "reflection", "pipelining", "last-byte", "last-byte-http1"],
  ...["one-byte-chunks", "rubbish", "operator-unread", "operator-unread-wrong-key", "guesses-connections"]
])
const ran = attacks.filter(({ name }) => SHORT.has(name))

describe("an honest client beside an attacker", () => {
  let rig: Rig.Rig
  let calm: Trial.Trial
  beforeAll(async () => {
    rig = await Rig.make({ database: undefined, envoy: undefined })
    calm = await Trial.run(rig, undefined, SECONDS)
  })
  afterAll(() => rig.stop())

  it.each(ran)("$name: $what", async (attack) => {
    let trial = await Trial.run(rig, attack, SECONDS)
    // Other tests take the cores at times: what stands, stands in one of three.
    for (let n = 1; n < 3 && trial.alive && !BURSTS.has(attack.name) && !Trial.isServed(trial, calm); n++) {
      trial = await Trial.run(rig, attack, SECONDS)
    }
    expect(trial.bytes).toBeGreaterThan(0)
    expect(trial.alive).toBe(true)
    expect(flawsOf(trial)).toBeUndefined()
    expect(trial.rss.most).toBeLessThan(Rig.memoryBound(DEFAULTS))
    if (BURSTS.has(attack.name)) return
    expect(Trial.isServed(trial, calm), JSON.stringify(trial.honest)).toBe(true)
  })
})
