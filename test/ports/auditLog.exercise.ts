import { layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import { changeBy } from "../../src/domain/ChangeRecord.ts"
import { AuditLog } from "../../src/ports/AuditLog.ts"

/** The `AuditLog` port's semantics, on whichever store the layer provides. */
export const exercise = <E>(name: string, layer: Layer.Layer<AuditLog, E>): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(name, (it) => {
    it.effect("keeps who did what, exactly, newest first, and pages by id", () =>
      Effect.gen(function*() {
        const audit = yield* AuditLog
        const began = Date.now()
        yield* audit.append({
          ...changeBy(named("anonymous")),
          action: "key.create",
          campaignId: undefined,
          before: undefined,
          after: { name: "운영 'key' \\ \" \n", roles: [] }
        })
        yield* Effect.forEach([1, 2, 3], (n) =>
          audit.append({
            ...changeBy(named(`ops '${n}'`)),
            action: "gate.rebuild",
            campaignId: 7,
            before: n,
            after: null
          }))
        const all = yield* audit.list({ beforeId: undefined, limit: 3, campaignId: undefined })
        expect(all.map(({ action, actor, after, before, campaignId }) => [actor, action, campaignId, before, after]))
          .toEqual([
            ["ops '3'", "gate.rebuild", 7, 3, null],
            ["ops '2'", "gate.rebuild", 7, 2, null],
            ["ops '1'", "gate.rebuild", 7, 1, null]
          ])
        expect(all.every(({ at }) =>
          Math.abs(at - began) < 60_000
        )).toBe(true)
        const rest = yield* audit.list({ beforeId: all.at(-1)!.id, limit: 3, campaignId: undefined })
        expect(rest.map(({ action, actor, after, before, campaignId }) => [actor, action, campaignId, before, after]))
          .toEqual([
            ["anonymous", "key.create", undefined, undefined, { name: "운영 'key' \\ \" \n", roles: [] }]
          ])
        expect((yield* audit.list({ beforeId: all[0]!.id, limit: 1, campaignId: 7 })).map(({ before }) => before))
          .toEqual([2])
        expect(yield* audit.list({ beforeId: undefined, limit: 5, campaignId: 8 })).toEqual([])
      }))

    it.effect("cuts an actor's name rather than losing the act", () =>
      Effect.gen(function*() {
        const audit = yield* AuditLog
        const change = changeBy(named("쿠".repeat(500)))
        yield* audit.append({ ...change, action: "key.revoke", campaignId: undefined, before: 1, after: 2 })
        const [newest] = yield* audit.list({ beforeId: undefined, limit: 1, campaignId: undefined })
        expect(newest!.actor).toBe("쿠".repeat(200))
      }))

    it.effect("records an act once that is appended again under its change id", () =>
      Effect.gen(function*() {
        const audit = yield* AuditLog
        const entry = { ...changeBy(named("twice")), action: "gate.rebuild", campaignId: 9, before: null, after: null }
        yield* audit.append(entry)
        yield* audit.append(entry)
        expect(yield* audit.list({ beforeId: undefined, limit: 5, campaignId: 9 })).toHaveLength(1)
      }))
  })
