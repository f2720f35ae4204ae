import { layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { expect, vi } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import type { CampaignStore } from "../../src/ports/CampaignStore.ts"
import { CodeImports } from "../../src/ports/CodeImports.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { batchId, batchOf, createCampaign, draft, users } from "./ledger.exercise.ts"

const record = () => ({ changeId: batchId(), actor: named("importer") })

/** Imports so many codes more. */
const filledUp = (campaignId: number, requestId: string, count: number) =>
  Effect.gen(function*() {
    const imports = yield* CodeImports
    const started = yield* imports.start({ ...record(), campaignId, requestId })
    if (started._tag !== "Started") throw new Error(started._tag)
    const key = { campaignId, importId: started.codeImport.importId }
    yield* imports.append(key, 0, Array.from({ length: count }, (_, index) => `${requestId}-${index}`))
    expect((yield* imports.finish({ ...record(), ...key, chunks: 1 }))._tag).toBe("Ended")
  })

const issue = (campaignId: number, first: number, count: number) =>
  Effect.flatMap(Ledger, (ledger) => ledger.issue(batchOf(campaignId, users(first, count))))

/** An import has its place among the coupons by its time in milliseconds: those of the same one come before it. */
const nextMillisecond = Effect.suspend(() => {
  const before = Date.now()
  return Effect.promise(() => vi.waitUntil(() => Date.now() > before, { interval: 1 }))
})

/** Type, and coupons or payload, of all events. */
const log = (campaignId: number) =>
  Effect.gen(function*() {
    const events = yield* EventLog
    yield* events.append([campaignId])
    return (yield* events.read(campaignId, 0, 1_000)).map(({ firstNumber, lastNumber, payload, type }) =>
      type === "coupon.issued" ? `${type} ${firstNumber} to ${lastNumber}` : type.startsWith("codes.") ?
        `${type} ${JSON.stringify(payload)}` : type)
  })

/** What the log says of pools, on whichever ledger the layer provides. */
export const exercise = <E>(
  name: string,
  layer: Layer.Layer<CampaignStore | CodeImports | EventLog | Ledger, E>
): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(name, (it) => {
    it.effect("has each import once, before the coupons that have its codes", () =>
      Effect.gen(function*() {
        const { campaignId } = yield* createCampaign(draft({ codes: { _tag: "Pool" }, couponLimit: 10_000 }))
        yield* filledUp(campaignId, "one", 1_000)
        expect(yield* log(campaignId)).toEqual([
          "campaign.created", `codes.imported {"importId":1,"codes":1000,"codeCount":1000}`
        ])
        yield* issue(campaignId, 1, 3)
        yield* nextMillisecond
        yield* filledUp(campaignId, "two", 500)
        yield* nextMillisecond
        yield* issue(campaignId, 11, 2)
        const expected = [
          "campaign.created",
          `codes.imported {"importId":1,"codes":1000,"codeCount":1000}`,
          "coupon.issued 1 to 3",
          `codes.imported {"importId":2,"codes":500,"codeCount":1500}`,
          "coupon.issued 4 to 5"
        ]
        expect(yield* log(campaignId)).toEqual(expected)
        expect(yield* log(campaignId)).toEqual(expected)
      }))

    it.effect("says once that few codes are left, and again after another import", () =>
      Effect.gen(function*() {
        const low = (events: ReadonlyArray<string>) => events.filter((event) => event.startsWith("codes.low"))
        const { campaignId } = yield* createCampaign(draft({ codes: { _tag: "Pool" }, couponLimit: 10_000 }))
        yield* filledUp(campaignId, "one", 20)
        expect(low(yield* log(campaignId))).toEqual([])
        yield* issue(campaignId, 1, 1)
        expect(low(yield* log(campaignId))).toEqual([])
        yield* issue(campaignId, 2, 16)
        const first = [`codes.low {"codeCount":20,"left":3}`]
        expect(low(yield* log(campaignId))).toEqual(first)
        yield* issue(campaignId, 50, 1)
        expect(low(yield* log(campaignId))).toEqual(first)
        yield* filledUp(campaignId, "two", 10)
        expect(low(yield* log(campaignId))).toEqual(first)
        yield* issue(campaignId, 60, 8)
        expect(low(yield* log(campaignId))).toEqual([...first, `codes.low {"codeCount":30,"left":4}`])
      }))

    it.effect("says so in time, by the pace of the coupons", () =>
      Effect.gen(function*() {
        const { campaignId } = yield* createCampaign(draft({ codes: { _tag: "Pool" }, couponLimit: 10_000 }))
        yield* filledUp(campaignId, "one", 1_000)
        yield* issue(campaignId, 1, 10)
        expect((yield* log(campaignId)).at(-1)).toBe("coupon.issued 1 to 10")
        // 99 coupons in ten seconds: the other 900 last for 91 seconds.
        yield* issue(campaignId, 101, 90)
        expect((yield* log(campaignId)).at(-1)).toBe(`codes.low {"codeCount":1000,"left":900}`)
      }))
  })
