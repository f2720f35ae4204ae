import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type { CampaignTerms } from "../../src/domain/Campaign.ts"
import { Gate, GateUnavailable } from "../../src/ports/Gate.ts"
import { CampaignStore } from "../../src/ports/CampaignStore.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { type Evidence, isFedBy } from "../../src/redis/GateOwner.ts"
import * as TestLedgerLayer from "../issuance/TestLedger.ts"
import { TestLedger } from "../issuance/TestLedger.ts"
import { couponOf, couponsOf, hydrate, termsOf } from "./gate.exercise.ts"
import { batchOf } from "./ledger.exercise.ts"
import { HOUR, scene } from "./redisScene.ts"

const fill = (gate: Gate["Type"], terms: CampaignTerms, coupons = 0, token = "first") =>
  Effect.provideService(hydrate(terms, couponsOf(terms.campaignId, 1, coupons), token), Gate, gate)

const ask = (gate: Gate["Type"], campaignId: number, ...users: ReadonlyArray<bigint>) =>
  Effect.map(
    gate.reserve(campaignId, users.map((userId) => ({ userId, nonce: `n${userId}` }))),
    (answers) => answers.map(({ _tag }) => _tag)
  )

/** Every operation once, by name; those that change something last. */
const operations = (
  gate: Gate["Type"],
  terms: CampaignTerms
): ReadonlyArray<readonly [name: string, Effect.Effect<unknown, GateUnavailable>]> => {
  const { campaignId } = terms
  return [
    ["reserve", gate.reserve(campaignId, [{ userId: 7n, nonce: "x" }])],
    ["check", gate.check(campaignId, [7n])],
    ["expired", gate.expired(campaignId, 0, 10)],
    ["inspect", gate.inspect(campaignId)],
    ["confirm", gate.confirm(campaignId, [couponOf(campaignId, 3)])],
    ["erase", gate.erase(campaignId, [{ id: 3, userId: 3n, holdsAnother: false }])],
    ["release", gate.release(campaignId, [{ userId: 7n, value: "1:x" }])],
    ["configure", gate.configure({ ...terms, version: 9 })],
    ["hydrateBegin", gate.hydrateBegin({ ...terms, version: 9 }, "second", HOUR)],
    ["hydrateChunk", gate.hydrateChunk(campaignId, "second", 0, couponsOf(campaignId, 1, 3))],
    ["hydrateEnd", gate.hydrateEnd(campaignId, "second", 3)],
    ["cold", gate.cold(campaignId, "second")],
    ["retire", gate.retire({ ...terms, version: 9 })],
    ["forget", gate.forget(campaignId)]
  ]
}

describe("a key of a campaign that has another type", () => {
  const unavailable = { _tag: "Fail", error: { _tag: "GateUnavailable" } }
  const parts = ["meta", "issued", "pending", "events"] as const
  it.scopedLive.each(parts)("%s: every operation fails whole, and the gate can be rebuilt", (name) =>
    Effect.gen(function*() {
      const { command, gateOf, keys, redis } = yield* scene
      const gate = yield* gateOf()
      const terms = termsOf({ couponLimit: 4 })
      const id = terms.campaignId
      const key = keys(id)[name]
      yield* fill(gate, terms, 2)
      expect(yield* ask(gate, id, 3n)).toEqual(["Reserved"])
      const aside = yield* Effect.promise(() => redis.dumpBuffer(key))
      yield* command("SET", key, "of another program")

      // A confirmation that cannot be whole leaves everything as it was.
      expect(yield* Effect.flip(gate.confirm(id, [couponOf(id, 3)]))).toBeInstanceOf(GateUnavailable)
      if (aside !== null) yield* Effect.promise(() => redis.restore(key, 0, aside, "REPLACE"))
      else yield* command("DEL", key)
      expect(yield* gate.inspect(id)).toMatchObject({ condition: "Sound", hydrated: true, issued: 2, pending: 1 })
      expect(yield* ask(gate, id, 4n, 5n)).toEqual(["Reserved", "Full"])

      yield* command("SET", key, "of another program")
      expect(yield* gate.inspect(id)).toMatchObject({ condition: "Broken", hydrated: false })
      for (const [operation, effect] of operations(gate, terms)) {
        if (operation === "forget" || operation === "retire") continue
        const exit = yield* Effect.exit(effect)
        if (Exit.isFailure(exit)) expect(exit.cause, operation).toMatchObject(unavailable)
      }
      yield* gate.forget(id)
      yield* fill(gate, terms, 3, "third")
      expect(yield* gate.inspect(id)).toMatchObject({ condition: "Sound", hydrated: true, issued: 3, pending: 0 })
      expect(yield* ask(gate, id, 3n, 4n, 5n)).toEqual(["Already", "Reserved", "Full"])
    }))

  const fields = ["version", "limit", "status", "start", "end"]
  it.scopedLive.each(fields)("terms whose %s cannot be read are found", (field) =>
    Effect.gen(function*() {
      const { command, gateOf, keys } = yield* scene
      const gate = yield* gateOf()
      const terms = termsOf({ endTime: Date.now() + HOUR })
      yield* fill(gate, terms, 1)
      yield* command("HSET", keys(terms.campaignId).meta, field, "x")
      expect(yield* gate.inspect(terms.campaignId)).toMatchObject({ condition: "Broken" })
      for (const [operation, effect] of operations(gate, terms)) {
        const exit = yield* Effect.exit(effect)
        if (Exit.isFailure(exit)) expect(exit.cause, operation).toMatchObject(unavailable)
      }
    }))

  it.scopedLive("a reservation that cannot be read is resolved like one that is old", () =>
    Effect.gen(function*() {
      const { command, gateOf, keys } = yield* scene
      const gate = yield* gateOf()
      const terms = termsOf()
      yield* fill(gate, terms)
      yield* command("HSET", keys(terms.campaignId).pending, "5", "rubbish")
      expect(yield* ask(gate, terms.campaignId, 5n, 6n)).toEqual(["Pending", "Reserved"])
      const expired = yield* gate.expired(terms.campaignId, HOUR, 10)
      expect(expired).toEqual([{ userId: 5n, value: "rubbish" }])
      yield* gate.release(terms.campaignId, expired)
      expect(yield* ask(gate, terms.campaignId, 5n)).toEqual(["Reserved"])
    }))
})

describe("a confirmation that fails half way", () => {
  it.scopedLive.each(["xadd", "hdel", "sadd"])("for lack of %s leads to no wrong answer for new users", (denied) =>
    Effect.gen(function*() {
      const { command, gateOf } = yield* scene
      const gate = yield* gateOf()
      const terms = termsOf({ couponLimit: 2 })
      const id = terms.campaignId
      yield* fill(gate, terms)
      expect(yield* ask(gate, id, 1n)).toEqual(["Reserved"])
      yield* command("ACL", "SETUSER", "default", `-${denied}`)
      expect(yield* Effect.flip(gate.confirm(id, [couponOf(id, 1)]))).toBeInstanceOf(GateUnavailable)
      yield* command("ACL", "SETUSER", "default", `+${denied}`)
      // One of two coupons is issued: there is a place for the next one, and none is sold out.
      expect(yield* ask(gate, id, 2n)).toEqual(["Reserved"])
      expect(yield* gate.check(id, [3n])).toEqual([false])
      yield* gate.confirm(id, [couponOf(id, 1)])
      yield* gate.confirm(id, [couponOf(id, 2)])
      expect(yield* gate.inspect(id)).toMatchObject({ issued: 2, pending: 0 })
      expect(yield* ask(gate, id, 1n, 2n, 3n)).toEqual(["Already", "Already", "SoldOut"])
    }))
})

describe("a campaign whose keys are another deployment's", () => {
  it.scopedLive("is cold, is left alone in every operation, and that is said once", () =>
    Effect.gen(function*() {
      const { dump, gateOf, lines } = yield* scene
      const [ours, theirs] = yield* Effect.all([gateOf(), gateOf({ identity: "theirs" })])
      const terms = termsOf({ couponLimit: 2 })
      const id = terms.campaignId
      yield* fill(theirs, terms, 2)
      const before = yield* dump(id)
      expect(yield* ask(ours, id, 1n, 5n)).toEqual(["Cold", "Cold"])
      expect(yield* ours.check(id, [5n])).toEqual([false])
      expect(yield* ours.inspect(id)).toMatchObject({ condition: "Foreign", hydrated: false, issued: 0 })
      expect(yield* ours.hydrateBegin(terms, "second", HOUR)).toBe("Foreign")
      for (const [operation, effect] of operations(ours, terms)) {
        yield* effect
        expect(yield* dump(id), operation).toEqual(before)
      }
      expect(yield* ask(theirs, id, 1n, 5n)).toEqual(["Already", "SoldOut"])
      expect(lines).toEqual([
        expect.stringMatching(
          /^ERROR the keys shared:\{c\d+\}:\* in Redis belong to another deployment \(identity theirs\)/
        )
      ])
      // Gone, they are anybody's.
      yield* theirs.forget(id)
      yield* fill(ours, terms, 1)
      expect(yield* ask(ours, id, 1n)).toEqual(["Already"])
      expect(yield* theirs.inspect(id)).toMatchObject({ condition: "Foreign" })
    }))

  it.scopedLive("has an owner from the first confirmation on, also on a gate that was never rebuilt", () =>
    Effect.gen(function*() {
      const { dump, gateOf } = yield* scene
      const [ours, theirs] = yield* Effect.all([gateOf(), gateOf({ identity: "theirs" })])
      const { campaignId } = termsOf()
      yield* theirs.confirm(campaignId, [couponOf(campaignId, 1)])
      const before = yield* dump(campaignId)
      yield* ours.confirm(campaignId, [couponOf(campaignId, 2)])
      expect(yield* dump(campaignId)).toEqual(before)
      expect(yield* ours.inspect(campaignId)).toMatchObject({ condition: "Foreign" })
    }))
})

describe("keys without an owner, as instances of an earlier version make them", () => {
  const unmarked = (owns: boolean) =>
    Effect.gen(function*() {
      const world = yield* scene
      const { command, gateOf, keys } = world
      const seen: Array<Evidence> = []
      const gate = yield* gateOf({
        owns: (_, evidence) => {
          seen.push(evidence)
          return Effect.succeed(owns)
        }
      })
      const terms = termsOf({ couponLimit: 3 })
      yield* fill(gate, terms, 2)
      expect(yield* ask(gate, terms.campaignId, 9n)).toEqual(["Reserved"])
      const disown = command("HDEL", keys(terms.campaignId).meta, "deployment")
      yield* disown
      return { ...world, gate, terms, id: terms.campaignId, seen, disown }
    })

  it.scopedLive("are taken over where they can be proven to be its own, and are never cold", () =>
    Effect.gen(function*() {
      const { disown, gate, gateOf, id, seen, terms } = yield* unmarked(true)
      expect(yield* ask(gate, id, 1n, 9n, 5n)).toEqual(["Already", "Reserved", "Full"])
      expect(seen).toEqual([expect.objectContaining({ generation: "first", issued: 2, version: 1, couponLimit: 3 })])
      // The one event that a gate keeps for this, seen from either end. It names no user.
      const proof = { id: 2, userId: -2n, code: couponOf(id, 2).code }
      expect(seen[0]!.coupons).toEqual([proof, proof])
      // As an instance of an earlier version leaves them that rebuilt the gate: each operation takes them over.
      for (
        const [operation, effect] of operations(gate, terms).filter(([name]) =>
          !/^(check|release|hydrateChunk|hydrateEnd|cold)$/.test(name)
        )
      ) {
        yield* disown
        const before = seen.length
        yield* effect
        expect(seen.length, operation).toBe(before + 1)
        if (operation === "retire") break
      }
      const other = yield* gateOf({ identity: "theirs" })
      expect(yield* other.inspect(id)).toMatchObject({ condition: "Foreign" })
    }))

  it.scopedLive("are left alone where they cannot, and that is said once", () =>
    Effect.gen(function*() {
      const { dump, gate, id, lines, terms } = yield* unmarked(false)
      const before = yield* dump(id)
      expect(yield* ask(gate, id, 1n, 9n, 5n)).toEqual(["Cold", "Cold", "Cold"])
      for (const [operation, effect] of operations(gate, terms)) {
        yield* effect
        expect(yield* dump(id), operation).toEqual(before)
      }
      expect(lines).toEqual([expect.stringMatching(/^ERROR the keys shared:\{c\d+\}:\* in Redis have no owner/)])
    }))

  it.scopedLive("are not taken over if they change hands meanwhile", () =>
    Effect.gen(function*() {
      const { command, gateOf, keys } = yield* scene
      const terms = termsOf({ couponLimit: 3 })
      const id = terms.campaignId
      const theirs = yield* gateOf({ identity: "theirs" })
      yield* fill(theirs, terms, 1)
      yield* command("HDEL", keys(id).meta, "deployment")
      const ours = yield* gateOf({
        owns: () => Effect.as(command("HSET", keys(id).meta, "deployment", "theirs"), true)
      })
      expect(yield* ask(ours, id, 1n)).toEqual(["Cold"])
      expect(yield* ask(theirs, id, 1n)).toEqual(["Already"])
    }))
})

describe("the proof that keys are a ledger's own", () => {
  const evidence: Evidence = {
    generation: "first",
    version: 1,
    couponLimit: 100,
    startTime: 0,
    issued: 0,
    newestEvent: "",
    coupons: []
  }
  const decide = (
    of: (
      coupons: ReadonlyArray<{ readonly id: number; readonly userId: bigint; readonly code: string }>
    ) => Partial<Evidence>
  ) =>
    Effect.gen(function*() {
      const campaigns = yield* CampaignStore
      const ledger = yield* Ledger
      const control = yield* TestLedger
      const { campaignId } = control.addCampaign()
      yield* ledger.issue(batchOf(campaignId, [1, 2, 3]))
      const coupons = control.coupons(campaignId)
      return yield* isFedBy(campaigns, ledger, campaignId, { ...evidence, issued: coupons.length, ...of(coupons) })
    }).pipe(Effect.provide(TestLedgerLayer.layer))

  it.effect("is codes that it has drawn", () =>
    Effect.gen(function*() {
      expect(yield* decide((coupons) => ({ coupons }))).toBe(true)
      expect(yield* decide((coupons) => ({ coupons: coupons.slice(0, 1) }))).toBe(true)
      // The same users, and another deployment's codes; or those of both.
      expect(
        yield* decide((coupons) => ({
          coupons: coupons.map((coupon) => ({ ...coupon, code: "다른배포의코드들이다" }))
        }))
      ).toBe(false)
      expect(yield* decide((coupons) => ({ coupons: [...coupons, { ...coupons[0]!, code: "다른배포의코드들이다" }] })))
        .toBe(false)
      expect(yield* decide((coupons) => ({ coupons: [...coupons, { id: 9, userId: 9n, code: "가" }] }))).toBe(false)
      // Users without codes prove nothing.
      expect(yield* decide(() => ({}))).toBe(false)
    }))

  it.effect("is not asked of a gate without coupons, unless its terms are others", () =>
    Effect.gen(function*() {
      expect(yield* decide(() => ({ issued: 0 }))).toBe(true)
      expect(yield* decide(() => ({ issued: 0, version: 0 }))).toBe(true)
      expect(yield* decide(() => ({ issued: 0, version: 2 }))).toBe(false)
      expect(yield* decide(() => ({ issued: 0, couponLimit: 99 }))).toBe(false)
      expect(yield* decide(() => ({ issued: 0, startTime: 1 }))).toBe(false)
    }))

  it.effect("fails as the gate does while the ledger is away, and is none for a campaign that it does not have", () =>
    Effect.gen(function*() {
      const campaigns = yield* CampaignStore
      const ledger = yield* Ledger
      expect(yield* isFedBy(campaigns, ledger, 77, evidence)).toBe(false)
      const control = yield* TestLedger
      control.down = true
      expect(Either.isLeft(yield* Effect.either(isFedBy(campaigns, ledger, 1, evidence)))).toBe(true)
      expect(yield* Effect.flip(isFedBy(campaigns, ledger, 1, evidence))).toBeInstanceOf(GateUnavailable)
    }).pipe(Effect.provide(TestLedgerLayer.layer)))
})

describe("keys of a campaign that is over", () => {
  const SLACK = 60_000

  const lives = (keys: Record<string, string>, redis: { readonly pttl: (key: string) => Promise<number> }) =>
    Effect.promise(async () =>
      Object.fromEntries(
        await Promise.all(Object.entries(keys).map(async ([name, key]) => [name, await redis.pttl(key)] as const))
      )
    )

  it.scopedLive("go so long after the end, whichever of them come when", () =>
    Effect.gen(function*() {
      const { gateOf, keys, redis } = yield* scene
      const gate = yield* gateOf()
      const terms = termsOf({ couponLimit: 9, endTime: Date.now() + HOUR })
      const id = terms.campaignId
      const near = (millis: number) => expect.toSatisfy((left: number) => Math.abs(left - millis) < SLACK)
      yield* fill(gate, terms)
      yield* ask(gate, id, 1n)
      yield* gate.confirm(id, [couponOf(id, 1)])
      yield* ask(gate, id, 2n)
      expect(yield* lives(keys(id), redis)).toEqual({
        meta: near(2 * HOUR),
        issued: near(2 * HOUR),
        pending: near(2 * HOUR),
        events: near(2 * HOUR)
      })
      yield* gate.configure({ ...terms, endTime: Date.now() + 3 * HOUR, version: 2 })
      expect(yield* lives(keys(id), redis)).toEqual({
        meta: near(4 * HOUR),
        issued: near(4 * HOUR),
        pending: near(4 * HOUR),
        events: near(4 * HOUR)
      })
      yield* gate.configure({ ...terms, endTime: undefined, version: 3 })
      expect(yield* lives(keys(id), redis)).toEqual({ meta: -1, issued: -1, pending: -1, events: -1 })
      yield* gate.configure({ ...terms, endTime: undefined, status: "ENDED", version: 4 })
      expect(yield* lives(keys(id), redis)).toEqual({
        meta: near(HOUR),
        issued: near(HOUR),
        pending: near(HOUR),
        events: near(HOUR)
      })
      yield* gate.retire({ ...terms, endTime: undefined, status: "ENDED", version: 4 })
      expect(yield* lives(keys(id), redis)).toEqual({ meta: near(HOUR), issued: -2, pending: -2, events: -2 })
    }))

  it.scopedLive("stay as long as a campaign has no end", () =>
    Effect.gen(function*() {
      const { gateOf, keys, redis } = yield* scene
      const gate = yield* gateOf()
      const terms = termsOf()
      yield* fill(gate, terms, 2)
      yield* ask(gate, terms.campaignId, 7n)
      expect(yield* lives(keys(terms.campaignId), redis)).toEqual({ meta: -1, issued: -1, pending: -1, events: -1 })
    }))

  it.scopedLive("stay where Redis does not let them go, and the gate works all the same", () =>
    Effect.gen(function*() {
      const { command, gateOf, keys, redis } = yield* scene
      yield* command("ACL", "SETUSER", "default", "-pexpireat", "-persist")
      const gate = yield* gateOf()
      const terms = termsOf({ couponLimit: 9, endTime: Date.now() + HOUR })
      const id = terms.campaignId
      yield* fill(gate, terms, 1)
      yield* gate.confirm(id, [couponOf(id, 2)])
      expect(yield* ask(gate, id, 1n, 2n, 3n)).toEqual(["Already", "Already", "Reserved"])
      yield* gate.configure({ ...terms, endTime: undefined, version: 2 })
      expect(yield* lives(keys(id), redis)).toEqual({ meta: -1, issued: -1, pending: -1, events: -1 })
    }))
})
