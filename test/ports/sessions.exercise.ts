import { randomBytes } from "node:crypto"
import { expect, layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { named } from "../../src/domain/Actor.ts"
import { changeBy } from "../../src/domain/ChangeRecord.ts"
import { AuditLog } from "../../src/ports/AuditLog.ts"
import { SessionStore } from "../../src/security/sessions/SessionStore.ts"

const hex = (bytes: number) => randomBytes(bytes).toString("hex")
const session = (keyId: string) => ({ id: hex(8), tokenHash: hex(32), keyId, address: "192.0.2.7" })
const change = () => changeBy(named("tester"))

/** What every ledger does with the sessions of the console; `layer` may hold others already. */
export const exercise = <E>(name: string, layer: Layer.Layer<SessionStore | AuditLog, E>): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "60 seconds" })(`SessionStore: ${name}`, (it) => {
    const of = (keyId: string) =>
      Effect.map(Effect.flatMap(SessionStore, ({ all }) => all), ({ now, sessions }) =>
        ({ now, sessions: sessions.filter((one) => one.keyId === keyId) }))
    const latestActs = Effect.flatMap(AuditLog, ({ list }) =>
      list({ limit: 2, beforeId: undefined, campaignId: undefined }))

    it.effect("keeps a session as it began, for so long, and records its start", () =>
      Effect.gen(function*() {
        const store = yield* SessionStore
        const [keyId, begun] = [hex(8), Date.now()]
        const one = session(keyId)
        yield* store.insert(one, { lifeMillis: 3_600_000, most: 3 }, change())
        const { now, sessions: [found] } = yield* of(keyId)
        expect(found).toMatchObject(one)
        expect(found!.endsAt - found!.createdAt).toBe(3_600_000)
        expect(Math.abs(found!.createdAt - begun)).toBeLessThan(60_000)
        expect(now).toBeGreaterThanOrEqual(found!.createdAt)
        const [act] = yield* latestActs
        expect(act).toMatchObject({ action: "session.start", after: { id: one.id, keyId } })
        expect([act!.actor.name, JSON.stringify(act)]).toEqual(["tester", expect.not.stringContaining(one.tokenHash)])
      }))

    it.effect("removes one once, and records that", () =>
      Effect.gen(function*() {
        const store = yield* SessionStore
        const one = session(hex(8))
        yield* store.insert(one, { lifeMillis: 3_600_000, most: 3 }, change())
        expect(yield* store.remove(one.id, change())).toBe(true)
        const [end, start] = yield* latestActs
        expect([end!.action, end!.before, start!.action]).toEqual([
          "session.end",
          { id: one.id, keyId: one.keyId },
          "session.start"
        ])
        expect(yield* store.remove(one.id, change())).toBe(false)
        expect((yield* latestActs)[0]!.id).toBe(end!.id)
        expect((yield* of(one.keyId)).sessions).toEqual([])
      }))

    it.effect("of a key, keeps so many of the latest, and none of another key goes", () =>
      Effect.gen(function*() {
        const store = yield* SessionStore
        const [keyId, other] = [hex(8), session(hex(8))]
        yield* store.insert(other, { lifeMillis: 3_600_000, most: 3 }, change())
        const all = Array.from({ length: 5 }, () => session(keyId))
        for (const one of all) yield* store.insert(one, { lifeMillis: 3_600_000, most: 3 }, change())
        const left = (yield* of(keyId)).sessions
        // Those of one moment have no order.
        expect(left).toHaveLength(3)
        expect(left.map(({ id }) => id)).toContain(all[4]!.id)
        expect((yield* of(other.keyId)).sessions).toHaveLength(1)
      }))

    it.effect("has no session whose time is over", () =>
      Effect.gen(function*() {
        const store = yield* SessionStore
        const short = session(hex(8))
        yield* store.insert(short, { lifeMillis: 1, most: 3 }, change())
        const over = (one: { readonly sessions: ReadonlyArray<unknown> }) => one.sessions.length === 0
        yield* Effect.repeat(of(short.keyId), { until: over })
        expect(yield* store.remove(short.id, change())).toBe(false)
      }))
  })
