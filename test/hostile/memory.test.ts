import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { inLongProfile } from "../support/profile.ts"
import { attacks } from "./attacks.ts"
import * as Rig from "./Rig.ts"
import * as Trial from "./trial.ts"

/** Settings so small that one attacker reaches each of them. */
const SMALL = { heldBytes: 4_194_304, maxConnections: 600, maxInFlight: 500 }

/** How long each attack goes on, and longer ones where other tests take the cores, so that it does not get there. */
const SECONDS = inLongProfile([3, 9], [1, 3, 9])

/** Which protection each attack has to reach. */
const REACHED = {
  "last-byte": "bytes",
  "last-byte-http1": "bytes",
  "one-byte-chunks": "tiny_chunks",
  watch: "long_calls",
  reflection: "streams"
}

const counts = async (port: number): Promise<ReadonlyMap<string, number>> => {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  return new Map(Array.from(text.matchAll(/^coupon_protection_total\{reason="(\w+)"\} (\d+)/gm), ([, reason, count]) =>
    [reason!, Number(count)]))
}

describe("memory is bounded by settings", () => {
  let rig: Rig.Rig
  beforeAll(async () => {
    rig = await Rig.make({
      database: undefined,
      envoy: undefined,
      codes: 10,
      env: {
        HELD_BYTES: String(SMALL.heldBytes),
        MAX_CONNECTIONS: String(SMALL.maxConnections),
        MAX_IN_FLIGHT: String(SMALL.maxInFlight)
      }
    })
  })
  afterAll(() => rig.stop())

  it.each(Object.entries(REACHED))("%s reaches the bound of %s, below that of memory", async (name, reason) => {
    const attack = attacks.find((one) => one.name === name)!
    let reached = 0
    for (const seconds of SECONDS) {
      const trial = await Trial.run(rig, attack, seconds, async ({ metricsPort }) => {
        reached = (await counts(metricsPort)).get(reason)!
      })
      expect(trial.alive).toBe(true)
      expect(trial.rss.most).toBeLessThan(Rig.memoryBound(SMALL))
      if (reached > 0) break
    }
    expect(reached).toBeGreaterThan(0)
  })
})
