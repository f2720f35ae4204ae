import { expect, layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { Deployment } from "../../src/ports/operation/Deployment.ts"

/** What every ledger knows of its deployment; `layer` builds on a ledger that was never served. */
export const exercise = <E>(name: string, layer: Layer.Layer<Deployment, E>): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "60 seconds" })(`Deployment: ${name}`, (it) => {
    it.effect("has one identity, which stays", () =>
      Effect.gen(function*() {
        const { facts } = yield* Deployment
        const first = yield* facts
        expect(first.identity).toMatch(/^[0-9a-f]{16}$/)
        expect((yield* facts).identity).toBe(first.identity)
      }))

    it.effect("notes once when it was first served in production", () =>
      Effect.gen(function*() {
        const deployment = yield* Deployment
        expect((yield* deployment.facts).servedInProductionAt).toBeUndefined()
        const before = Date.now()
        yield* deployment.noteServedInProduction
        const { servedInProductionAt } = yield* deployment.facts
        expect(Math.abs(servedInProductionAt! - before)).toBeLessThan(60_000)
        yield* deployment.noteServedInProduction
        expect((yield* deployment.facts).servedInProductionAt).toBe(servedInProductionAt)
      }))
  })
