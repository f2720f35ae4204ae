import * as Fs from "node:fs"
import { describe, expect, it } from "vitest"
import { mutations } from "./mutations.ts"
import { runMutants } from "./mutants.ts"
import { privateDatabases } from "../support/servers.ts"

describe("mutants", () => {
  it.each(mutations.flatMap(({ name, patches }) => patches.map((patch) => [name, patch.file, patch] as const)))(
    "%s fits the source of %s",
    (_, file, { from }) => {
      const text = Fs.readFileSync(new URL(`../../src/${file}`, import.meta.url), "utf8")
      expect(text.split(from).length - 1, `occurrences of ${from}`).toBe(1)
    }
  )

  it("die of the checks, and the program passes the same scenario", async () => {
    // The quickest; `npm run faults -- --mutants` has all.
    const [death] = await runMutants(privateDatabases().at(-1)!, () => {}, "noVoid")
    expect(death).toMatchObject({ killedBy: ["I6"], soundly: true })
  }, 240_000)
})
