import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as CampaignReads from "../../src/campaigns/CampaignReads.ts"
import type { Campaign } from "../../src/domain/Campaign.ts"
import { CampaignStore } from "../../src/ports/CampaignStore.ts"

/** A ledger of one campaign whose reads take place and end when the test says so. */
const makeLedger = () => {
  let version = 0
  /** Reads that have begun: `look` is the moment at which the ledger is read, `end` when its answer comes. */
  const reads: Array<{ seen: number | undefined; readonly end: (version: number) => void }> = []
  return {
    store: {
      find: () =>
        Effect.async<Campaign>((resume) => {
          reads.push({ seen: undefined, end: (seen) => resume(Effect.succeed({ version: seen } as Campaign)) })
        })
    } as unknown as CampaignStore["Type"],
    version: () => version,
    change: () => void version++,
    look: (index: number) => {
      const read = reads[index % Math.max(1, reads.length)]
      if (read !== undefined) read.seen ??= version
    },
    end: (index: number) => {
      const [read] = reads.length === 0 ? [] : reads.splice(index % reads.length, 1)
      read?.end(read.seen ?? version)
    },
    pending: () => reads.length
  }
}

type Step = { readonly kind: "call" | "change" | "look" | "end" | "turn"; readonly index: number }

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom<Step["kind"]>("call", "call", "change", "look", "end", "turn", "turn"),
    index: fc.nat({ max: 7 })
  }),
  { minLength: 1, maxLength: 60 }
)

/** Batches flush at the end of a turn, and fibers go on after it. */
const turn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)))

describe("reads of a campaign that are shared", () => {
  it("return what was there at a moment between the call and its answer", async () => {
    let shared = 0
    await fc.assert(fc.asyncProperty(steps, async (all) => {
      const ledger = makeLedger()
      const scope = Effect.runSync(Scope.make())
      const reads = await Effect.runPromise(
        CampaignReads.make.pipe(Effect.provideService(CampaignStore, ledger.store), Scope.extend(scope))
      )
      const answers: Array<Promise<unknown>> = []
      const objects = new Set<unknown>()
      for (const { index, kind } of all) {
        if (kind === "call") {
          const least = ledger.version()
          answers.push(Effect.runPromise(reads.find(1, Infinity)).then((campaign) => {
            objects.add(campaign)
            expect(campaign!.version).toBeGreaterThanOrEqual(least)
            expect(campaign!.version).toBeLessThanOrEqual(ledger.version())
          }))
        } else if (kind === "turn") await turn()
        else ledger[kind](index)
      }
      let isOver = false
      const over = Promise.all(answers).finally(() => isOver = true)
      while (!isOver) {
        await turn()
        for (let left = ledger.pending(); left > 0; left--) ledger.end(0)
      }
      await over
      if (objects.size < answers.length) shared++
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }), { numRuns: 200 })
    // Otherwise nothing was put to the test.
    expect(shared).toBeGreaterThan(20)
  })
})
