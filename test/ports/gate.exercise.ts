import { expect, layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type { CampaignId, CampaignTerms } from "../../src/domain/Campaign.ts"
import type { Coupon, UserId } from "../../src/domain/Coupon.ts"
import { Gate, type ReserveAnswer } from "../../src/ports/Gate.ts"

const MAX_USER_ID = 9_223_372_036_854_775_807n
const MINUTE = 60_000

let lastCampaignId = 0
/** A campaign of its own for each test: the server is never flushed. */
export const freshCampaignId = (): CampaignId => ++lastCampaignId

export const termsOf = (change: Partial<CampaignTerms> = {}): CampaignTerms => ({
  campaignId: freshCampaignId(),
  couponLimit: 3,
  status: "ACTIVE",
  startTime: Date.now() - MINUTE,
  endTime: undefined,
  version: 1,
  ...change
})

export const couponOf = (campaignId: CampaignId, id: number, userId: UserId = BigInt(id)): Coupon => ({
  campaignId,
  id,
  userId,
  code: `가나다라마바${String(id).padStart(4, "0")}`,
  issuedAt: 1_750_809_600_000 + id
})

export const couponsOf = (campaignId: CampaignId, first: number, last: number): ReadonlyArray<Coupon> =>
  Array.from({ length: last - first + 1 }, (_, k) => couponOf(campaignId, first + k))

const LEASE = MINUTE

/** Rebuilds the gate from these coupons, as the rebuilder does. */
export const hydrate = (terms: CampaignTerms, coupons: ReadonlyArray<Coupon> = [], token = "first") =>
  Effect.gen(function*() {
    const gate = yield* Gate
    expect(yield* gate.hydrateBegin(terms, token, LEASE)).toBe("Granted")
    if (coupons.length > 0) expect(yield* gate.hydrateChunk(terms.campaignId, token, 0, coupons)).toBe(true)
    expect(yield* gate.hydrateEnd(terms.campaignId, token, coupons.at(-1)?.id ?? 0)).toBe(true)
  })

const reserve = (campaignId: CampaignId, ...users: ReadonlyArray<UserId | readonly [UserId, nonce: string]>) =>
  Effect.flatMap(Gate, (gate) =>
    gate.reserve(
      campaignId,
      users.map((user) =>
        typeof user === "bigint" ? { userId: user, nonce: "n1" } : { userId: user[0], nonce: user[1] }
      )
    ))

const tags = (answers: ReadonlyArray<ReserveAnswer>) => answers.map((answer) => answer._tag)

const reserveTags = (campaignId: CampaignId, ...users: ReadonlyArray<UserId | readonly [UserId, nonce: string]>) =>
  Effect.map(reserve(campaignId, ...users), tags)

/** The value of an answer that must be a reservation. */
const valueOf = (answer: ReserveAnswer | undefined): string => {
  if (answer?._tag !== "Reserved") throw new Error(`expected Reserved, got ${answer?._tag}`)
  return answer.value
}

const eventually = <A, E, R>(effect: Effect.Effect<A, E, R>, until: (a: A) => boolean) =>
  Effect.repeat(effect, { schedule: Schedule.spaced("5 millis"), until }).pipe(
    Effect.timeoutFail({ duration: "60 seconds", onTimeout: () => new Error("did not come true within 60 s") })
  )

/** What every `Gate` does, whatever it is made of. */
export const exercise = <E>(name: string, layer: Layer.Layer<Gate, E>): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(`Gate: ${name}`, (it) => {
    it.effect("a gate that knows nothing is cold, and says nothing definite", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const id = freshCampaignId()
        expect(yield* reserveTags(id, 1n, 2n)).toEqual(["Cold", "Cold"])
        expect(yield* gate.check(id, [1n])).toEqual([false])
        expect(yield* gate.expired(id, 0, 10)).toEqual([])
        expect(yield* gate.inspect(id)).toEqual({
          condition: "Sound",
          generation: undefined,
          hydrated: false,
          issued: 0,
          pending: 0,
          version: 0,
          oldestPendingMillis: 0
        })
      }))

    it.effect("nothing asked is nothing done", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf()
        yield* hydrate(terms)
        expect(yield* gate.reserve(terms.campaignId, [])).toEqual([])
        expect(yield* gate.check(terms.campaignId, [])).toEqual([])
        yield* gate.release(terms.campaignId, [])
        yield* gate.confirm(terms.campaignId, [])
        expect(yield* gate.inspect(terms.campaignId)).toMatchObject({ issued: 0, pending: 0 })
      }))

    it.effect("reserves up to the limit, then is full, and sold out once the issued set alone reaches it", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 2 })
        const id = terms.campaignId
        yield* hydrate(terms)
        const answers = yield* reserve(id, 1n, 2n, 3n)
        expect(tags(answers)).toEqual(["Reserved", "Reserved", "Full"])
        expect(valueOf(answers[0])).toMatch(/^\d{16}:n1$/)
        expect(yield* gate.inspect(id)).toMatchObject({ hydrated: true, generation: "first", issued: 0, pending: 2 })
        yield* gate.confirm(id, [couponOf(id, 1)])
        expect(yield* reserveTags(id, 3n)).toEqual(["Full"])
        expect(yield* gate.check(id, [3n])).toEqual([false])
        yield* gate.confirm(id, [couponOf(id, 2)])
        expect(yield* reserveTags(id, 1n, 3n, 2n)).toEqual(["Already", "SoldOut", "Already"])
        expect(yield* gate.check(id, [1n, 3n, 2n])).toEqual([false, true, false])
        expect(yield* gate.inspect(id)).toMatchObject({ issued: 2, pending: 0, oldestPendingMillis: 0 })
      }))

    it.effect("the same nonce gets the same value, another nonce of the user waits for the first", () =>
      Effect.gen(function*() {
        const { campaignId: id } = yield* Effect.tap(Effect.sync(() => termsOf()), (terms) => hydrate(terms))
        const [first] = yield* reserve(id, [1n, "aa-1"])
        const again = yield* reserve(id, [1n, "aa-1"], [1n, "a-1"], [2n, "b"], [1n, "aa-1"])
        expect(tags(again)).toEqual(["Reserved", "Pending", "Reserved", "Reserved"])
        expect(valueOf(again[0])).toBe(valueOf(first))
        expect(valueOf(again[3])).toBe(valueOf(first))
      }))

    it.effect("two attempts of a user inside one micro-batch hold one slot", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 2 })
        yield* hydrate(terms)
        const answers = yield* reserve(terms.campaignId, [1n, "a"], [1n, "b"], [1n, "a"], [2n, "a"], [3n, "a"])
        expect(tags(answers)).toEqual(["Reserved", "Pending", "Reserved", "Reserved", "Full"])
        expect(valueOf(answers[2])).toBe(valueOf(answers[0]))
        expect(yield* gate.inspect(terms.campaignId)).toMatchObject({ pending: 2 })
      }))

    it.effect("a user with a slot keeps it when the gate closes to others, and a holder always gets Already", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 9 })
        const id = terms.campaignId
        yield* hydrate(terms, [couponOf(id, 1)])
        const [held] = yield* reserve(id, [2n, "a"])
        const ask = reserve(id, 1n, [2n, "a"], [2n, "b"], 3n)
        yield* gate.configure({ ...terms, version: 2, status: "PAUSED" })
        expect(tags(yield* ask)).toEqual(["Already", "Reserved", "Pending", "Paused"])
        yield* gate.configure({ ...terms, version: 3, status: "ENDED" })
        expect(tags(yield* ask)).toEqual(["Already", "Reserved", "Pending", "Ended"])
        yield* gate.configure({ ...terms, version: 4, status: "PAUSED", endTime: Date.now() - MINUTE })
        expect(tags(yield* ask)).toEqual(["Already", "Reserved", "Pending", "Ended"])
        yield* gate.configure({ ...terms, version: 5, couponLimit: 1 })
        expect(tags(yield* ask)).toEqual(["Already", "Reserved", "Pending", "SoldOut"])
        yield* gate.configure({ ...terms, version: 6, couponLimit: 2 })
        expect(tags(yield* ask)).toEqual(["Already", "Reserved", "Pending", "Full"])
        yield* gate.configure({ ...terms, version: 7 })
        const answers = yield* ask
        expect(tags(answers)).toEqual(["Already", "Reserved", "Pending", "Reserved"])
        expect(valueOf(answers[1])).toBe(valueOf(held))
      }))

    it.effect("refuses before the start and after the end, but not within 2 s of either", () =>
      Effect.gen(function*() {
        const early = termsOf({ startTime: Date.now() + MINUTE })
        yield* hydrate(early, [couponOf(early.campaignId, 1)])
        // Even a holder: that is the order of the public contract.
        expect(yield* reserveTags(early.campaignId, 1n, 2n)).toEqual(["NotStarted", "NotStarted"])
        const now = Date.now()
        const almost = termsOf({ startTime: now + 1_900, endTime: now + MINUTE })
        yield* hydrate(almost)
        expect(yield* reserveTags(almost.campaignId, 1n)).toEqual(["Reserved"])
        const late = termsOf({ endTime: Date.now() - 2_001 })
        yield* hydrate(late, [couponOf(late.campaignId, 1)])
        expect(yield* reserveTags(late.campaignId, 1n, 2n)).toEqual(["Already", "Ended"])
        const barely = termsOf({ endTime: Date.now() })
        yield* hydrate(barely)
        expect(yield* reserveTags(barely.campaignId, 1n)).toEqual(["Reserved"])
      }))

    it.effect("release compares before it deletes, and may come twice", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 1 })
        const id = terms.campaignId
        yield* hydrate(terms)
        const value = valueOf((yield* reserve(id, [1n, "a"]))[0])
        yield* gate.release(id, [{ userId: 1n, value: `${value}x` }, { userId: 2n, value }])
        expect(yield* reserveTags(id, 2n)).toEqual(["Full"])
        yield* gate.release(id, [{ userId: 1n, value }])
        const second = valueOf((yield* reserve(id, [1n, "b"]))[0])
        // The first attempt's release, late: it must not take the second one's slot.
        yield* gate.release(id, [{ userId: 1n, value }])
        expect(valueOf((yield* reserve(id, [1n, "b"]))[0])).toBe(second)
      }))

    it.effect("confirm works on a cold gate, which stays cold until it is hydrated", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf()
        const id = terms.campaignId
        yield* gate.confirm(id, [couponOf(id, 1)])
        yield* gate.confirm(id, [couponOf(id, 1)])
        expect(yield* reserveTags(id, 1n, 2n)).toEqual(["Cold", "Cold"])
        expect(yield* gate.check(id, [1n, 2n])).toEqual([false, false])
        expect(yield* gate.inspect(id)).toMatchObject({ generation: undefined, hydrated: false, issued: 1 })
        yield* hydrate(terms, [couponOf(id, 1)])
        expect(yield* reserveTags(id, 1n, 2n)).toEqual(["Already", "Reserved"])
        expect(yield* gate.inspect(id)).toMatchObject({ issued: 1, pending: 1 })
      }))

    it.effect("confirm ends a reservation whatever its value", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf()
        yield* hydrate(terms)
        yield* reserve(terms.campaignId, [1n, "a"], [2n, "b"])
        yield* gate.confirm(terms.campaignId, [couponOf(terms.campaignId, 1)])
        expect(yield* gate.inspect(terms.campaignId)).toMatchObject({ issued: 1, pending: 1 })
        expect((yield* gate.expired(terms.campaignId, 0, 10)).map((r) => r.userId)).toEqual([2n])
      }))

    it.effect("names the coupons whose users are not in the set, in order, whether it is hydrated or not", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 9 })
        const id = terms.campaignId
        const big = couponOf(id, 4, MAX_USER_ID)
        const all = [...couponsOf(id, 1, 3), big]
        const absent = Effect.map(gate.absent(id, all), ({ coupons }) => coupons)
        expect(yield* absent).toEqual(all)
        expect(yield* gate.absent(id, [])).toMatchObject({ coupons: [] })
        yield* gate.confirm(id, [all[1]!, big])
        expect(yield* absent).toEqual([all[0], all[2]])
        yield* hydrate(terms, all)
        expect(yield* absent).toEqual([])
        yield* gate.forget(id)
        expect(yield* absent).toEqual(all)
      }))

    it.effect("hydrates in pages, each fenced by generation and cursor", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 9 })
        const id = terms.campaignId
        expect(yield* gate.hydrateChunk(id, "a", 0, couponsOf(id, 1, 2))).toBe(false)
        expect(yield* gate.hydrateEnd(id, "a", 0)).toBe(false)
        expect(yield* gate.hydrateBegin(terms, "a", LEASE)).toBe("Granted")
        expect(yield* gate.hydrateChunk(id, "a", 0, couponsOf(id, 1, 2))).toBe(true)
        expect(yield* gate.hydrateChunk(id, "a", 0, couponsOf(id, 1, 2))).toBe(false)
        expect(yield* gate.hydrateChunk(id, "b", 2, couponsOf(id, 3, 4))).toBe(false)
        expect(yield* gate.hydrateChunk(id, "a", 2, [])).toBe(true)
        expect(yield* gate.hydrateEnd(id, "a", 0)).toBe(false)
        expect(yield* gate.hydrateEnd(id, "b", 2)).toBe(false)
        expect(yield* reserveTags(id, 1n)).toEqual(["Cold"])
        expect(yield* gate.inspect(id)).toMatchObject({ generation: "a", hydrated: false, issued: 2 })
        expect(yield* gate.hydrateEnd(id, "a", 2)).toBe(true)
        expect(yield* gate.hydrateEnd(id, "a", 2)).toBe(true)
        expect(yield* reserveTags(id, 1n, 3n)).toEqual(["Already", "Reserved"])
        expect(yield* gate.hydrateBegin(terms, "b", LEASE)).toBe("Hydrated")
        expect(yield* gate.inspect(id)).toMatchObject({ generation: "a", hydrated: true, issued: 2, pending: 1 })
      }))

    it.effect("a flush in the middle of a hydration aborts it", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 9 })
        const id = terms.campaignId
        expect(yield* gate.hydrateBegin(terms, "a", LEASE)).toBe("Granted")
        expect(yield* gate.hydrateChunk(id, "a", 0, couponsOf(id, 1, 2))).toBe(true)
        yield* gate.forget(id)
        expect(yield* gate.hydrateChunk(id, "a", 2, couponsOf(id, 3, 4))).toBe(false)
        expect(yield* gate.hydrateEnd(id, "a", 2)).toBe(false)
        // Not even one that begins again under the same token gets its old cursor back.
        expect(yield* gate.hydrateBegin(terms, "a", LEASE)).toBe("Granted")
        expect(yield* gate.hydrateChunk(id, "a", 2, couponsOf(id, 3, 4))).toBe(false)
        expect(yield* reserveTags(id, 1n, 3n)).toEqual(["Cold", "Cold"])
      }))

    it.effect("of two hydrators one is busy until the other's lease runs out, and the other is then fenced off", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 9 })
        const id = terms.campaignId
        expect(yield* gate.hydrateBegin(terms, "a", LEASE)).toBe("Granted")
        expect(yield* gate.hydrateBegin(terms, "b", LEASE)).toBe("Busy")
        expect(yield* gate.hydrateBegin(terms, "a", 1)).toBe("Granted")
        yield* eventually(gate.hydrateBegin(terms, "b", LEASE), (grant) => grant === "Granted")
        expect(yield* gate.hydrateChunk(id, "a", 0, couponsOf(id, 1, 2))).toBe(false)
        expect(yield* gate.hydrateEnd(id, "a", 0)).toBe(false)
        expect(yield* gate.hydrateBegin(terms, "a", LEASE)).toBe("Busy")
        expect(yield* gate.hydrateChunk(id, "b", 0, couponsOf(id, 1, 2))).toBe(true)
        expect(yield* gate.hydrateEnd(id, "b", 2)).toBe(true)
        expect(yield* gate.inspect(id)).toMatchObject({ generation: "b", hydrated: true, issued: 2 })
      }))

    it.effect("a chunk renews the lease", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf()
        expect(yield* gate.hydrateBegin(terms, "a", 100)).toBe("Granted")
        const begun = Date.now()
        let last = begun
        yield* eventually(
          Effect.zipRight(Effect.sync(() => last = Date.now()), gate.hydrateChunk(terms.campaignId, "a", 0, [])),
          () => last - begun > 150
        )
        const grant = yield* gate.hydrateBegin(terms, "b", LEASE)
        // If the machine slept since before the last chunk for the length of the lease, there is nothing to see here.
        if (Date.now() - last < 90) expect(grant).toBe("Busy")
      }))

    it.effect("confirmations between the pages are not lost", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 4 })
        const id = terms.campaignId
        yield* gate.hydrateBegin(terms, "a", LEASE)
        yield* gate.hydrateChunk(id, "a", 0, couponsOf(id, 1, 2))
        yield* gate.confirm(id, [couponOf(id, 4), couponOf(id, 3)])
        expect(yield* gate.hydrateEnd(id, "a", 2)).toBe(true)
        expect(yield* reserveTags(id, 3n, 4n, 5n)).toEqual(["Already", "Already", "SoldOut"])
      }))

    it.effect("cold closes its own generation only; users and reservations stay", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf()
        const id = terms.campaignId
        expect(yield* gate.cold(id, "a")).toBe(false)
        yield* hydrate(terms, [couponOf(id, 1)], "a")
        const value = valueOf((yield* reserve(id, [2n, "x"]))[0])
        expect(yield* gate.cold(id, "b")).toBe(false)
        expect(yield* reserveTags(id, 1n)).toEqual(["Already"])
        expect(yield* gate.cold(id, "a")).toBe(true)
        expect(yield* gate.cold(id, "a")).toBe(false)
        expect(yield* reserveTags(id, 1n)).toEqual(["Cold"])
        expect(yield* gate.inspect(id)).toMatchObject({ generation: undefined, hydrated: false, issued: 1, pending: 1 })
        yield* hydrate(terms, couponsOf(id, 1, 1), "b")
        expect(valueOf((yield* reserve(id, [2n, "x"]))[0])).toBe(value)
        // A hydration under way can be closed as well; its lease does not bar the next.
        yield* gate.cold(id, "b")
        expect(yield* gate.hydrateBegin(terms, "c", LEASE)).toBe("Granted")
        expect(yield* gate.cold(id, "c")).toBe(true)
        expect(yield* gate.hydrateChunk(id, "c", 0, [couponOf(id, 1)])).toBe(false)
        expect(yield* gate.hydrateBegin(terms, "d", LEASE)).toBe("Granted")
      }))

    it.effect("check is definite only while hydrated", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 1 })
        const id = terms.campaignId
        yield* gate.hydrateBegin(terms, "a", LEASE)
        yield* gate.hydrateChunk(id, "a", 0, [couponOf(id, 1)])
        expect(yield* gate.check(id, [1n, 2n])).toEqual([false, false])
        yield* gate.hydrateEnd(id, "a", 1)
        expect(yield* gate.check(id, [1n, 2n])).toEqual([false, true])
        yield* gate.cold(id, "a")
        expect(yield* gate.check(id, [1n, 2n])).toEqual([false, false])
        yield* gate.forget(id)
        expect(yield* gate.check(id, [1n, 2n])).toEqual([false, false])
      }))

    it.effect("applies newer terms only, and none without a generation", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 1, version: 5 })
        const id = terms.campaignId
        yield* gate.configure({ ...terms, version: 9, status: "PAUSED" })
        expect(yield* gate.inspect(id)).toMatchObject({ generation: undefined, issued: 0 })
        yield* gate.hydrateBegin(terms, "a", LEASE)
        yield* gate.configure({ ...terms, version: 6, status: "PAUSED" })
        yield* gate.hydrateEnd(id, "a", 0)
        expect(yield* reserveTags(id, 1n)).toEqual(["Paused"])
        yield* gate.configure({ ...terms, version: 6 })
        yield* gate.configure({ ...terms, version: 5 })
        expect(yield* reserveTags(id, 1n)).toEqual(["Paused"])
        yield* gate.configure({ ...terms, version: 7 })
        expect(yield* reserveTags(id, 1n, 2n)).toEqual(["Reserved", "Full"])
        // A raise that is announced comes at the version that it raises; an announcement that comes late lowers
        // nothing.
        yield* gate.configure({ ...terms, version: 7, couponLimit: 2 })
        expect(yield* reserveTags(id, 1n, 2n, 3n)).toEqual(["Reserved", "Reserved", "Full"])
        yield* gate.configure({ ...terms, version: 7 })
        expect(yield* reserveTags(id, 3n)).toEqual(["Full"])
        expect((yield* gate.inspect(id)).version).toBe(7)
        yield* gate.release(
          id,
          yield* gate.expired(id, 0, 10).pipe(Effect.map((all) => all.filter(({ userId }) => userId === 2n)))
        )
        // A refused hydration brings newer terms as well, and announced ones.
        expect(yield* gate.hydrateBegin({ ...terms, version: 7, couponLimit: 3 }, "b", LEASE)).toBe("Hydrated")
        expect(yield* reserveTags(id, 2n, 4n, 5n)).toEqual(["Reserved", "Reserved", "Full"])
        yield* gate.release(
          id,
          yield* gate.expired(id, 0, 10).pipe(Effect.map((all) => all.filter(({ userId }) => userId !== 1n)))
        )
        expect(yield* gate.hydrateBegin({ ...terms, version: 8, couponLimit: 2 }, "b", LEASE)).toBe("Hydrated")
        expect(yield* reserveTags(id, 2n, 3n)).toEqual(["Reserved", "Full"])
        // Terms outlive a cold gate; a rebuilder that read older ones does not bring them back.
        yield* gate.cold(id, "a")
        yield* hydrate({ ...terms, version: 7, couponLimit: 1 }, [], "c")
        yield* gate.confirm(id, [couponOf(id, 1)])
        expect(yield* gate.check(id, [9n])).toEqual([false])
      }))

    it.effect("tells neighbouring user ids of 64 bits apart", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 4 })
        const id = terms.campaignId
        // All of them are the same double.
        const [a, b, c, d] = [MAX_USER_ID, MAX_USER_ID - 1n, MAX_USER_ID - 2n, MAX_USER_ID - 3n] as const
        yield* hydrate(terms, [couponOf(id, 1, a)])
        const answers = yield* reserve(id, a, b, c)
        expect(tags(answers)).toEqual(["Already", "Reserved", "Reserved"])
        yield* gate.release(id, [{ userId: b, value: valueOf(answers[1]) }])
        expect(yield* gate.expired(id, 0, 10)).toEqual([{ userId: c, value: valueOf(answers[2]) }])
        yield* gate.confirm(id, [couponOf(id, 2, c), couponOf(id, 3, 9_007_199_254_740_993n), couponOf(id, 4, b)])
        expect(yield* gate.check(id, [a, b, c, d, 9_007_199_254_740_992n, 9_007_199_254_740_993n]))
          .toEqual([false, false, false, true, true, false])
      }))

    it.effect("lists reservations by age, at most as many as asked for", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 5_000 })
        const id = terms.campaignId
        yield* hydrate(terms)
        const users = Array.from({ length: 3_000 }, (_, k) => BigInt(k + 1))
        const values = (yield* reserve(id, ...users)).map(valueOf)
        expect(yield* gate.expired(id, MINUTE, 10)).toEqual([])
        expect(yield* gate.expired(id, 0, 100)).toHaveLength(100)
        const all = yield* gate.expired(id, 0, 10_000)
        expect(new Map(all.map((r) => [r.userId, r.value]))).toEqual(new Map(users.map((user, k) => [user, values[k]])))
        yield* eventually(gate.inspect(id), (state) => state.oldestPendingMillis > 0)
        expect((yield* gate.inspect(id)).oldestPendingMillis).toBeLessThan(MINUTE)
        expect(yield* gate.expired(id, MINUTE, 10)).toEqual([])
      }))

    it.effect("takes batches of thousands, in order", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 22_000 })
        const id = terms.campaignId
        yield* gate.hydrateBegin(terms, "a", LEASE)
        expect(yield* gate.hydrateChunk(id, "a", 0, couponsOf(id, 1, 10_000))).toBe(true)
        yield* gate.hydrateEnd(id, "a", 10_000)
        yield* gate.confirm(id, couponsOf(id, 10_001, 20_000))
        expect(yield* gate.inspect(id)).toMatchObject({ issued: 20_000 })
        const users = Array.from({ length: 4_500 }, (_, k) => BigInt(k + 18_001))
        const expected = [
          ...Array<string>(2_000).fill("Already"),
          ...Array<string>(2_000).fill("Reserved"),
          ...Array<string>(500).fill("Full")
        ]
        const answers = yield* reserve(id, ...users)
        expect(tags(answers)).toEqual(expected)
        const again = yield* reserve(id, ...users)
        expect(again).toEqual(answers)
        yield* gate.confirm(id, couponsOf(id, 20_001, 22_000))
        expect(yield* gate.check(id, users)).toEqual(users.map((user) => user > 22_000n))
        expect(yield* gate.inspect(id)).toMatchObject({ issued: 22_000, pending: 0 })
      }))

    it.effect("a retired campaign lets every claim through and knows no user, until its terms change", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 2, endTime: Date.now() - 10 * MINUTE, version: 3 })
        const id = terms.campaignId
        yield* hydrate(terms, couponsOf(id, 1, 2))
        expect(yield* reserveTags(id, 1n, 3n)).toEqual(["Already", "Ended"])
        // Older terms retire nothing: the gate knows better.
        yield* gate.retire({ ...terms, version: 2 })
        expect(yield* reserveTags(id, 1n, 3n)).toEqual(["Already", "Ended"])
        yield* gate.retire(terms)
        expect(yield* gate.inspect(id)).toMatchObject({
          condition: "Retired",
          hydrated: false,
          issued: 0,
          pending: 0,
          version: 3
        })
        const answers = yield* reserve(id, 1n, 3n, 3n)
        expect(tags(answers)).toEqual(["Reserved", "Reserved", "Reserved"])
        expect(yield* gate.check(id, [3n])).toEqual([false])
        yield* gate.release(id, [{ userId: 3n, value: valueOf(answers[1]) }])
        expect(yield* gate.expired(id, 0, 10)).toEqual([])
        yield* gate.configure(terms)
        expect(yield* gate.inspect(id)).toMatchObject({ condition: "Retired" })
        // What is confirmed late changes nothing about that.
        yield* gate.confirm(id, [couponOf(id, 2)])
        expect(yield* reserveTags(id, 2n, 3n)).toEqual(["Reserved", "Reserved"])
        yield* gate.configure({ ...terms, endTime: undefined, version: 4 })
        expect(yield* reserveTags(id, 1n)).toEqual(["Cold"])
        yield* hydrate({ ...terms, endTime: undefined, version: 4 }, couponsOf(id, 1, 2), "second")
        expect(yield* reserveTags(id, 1n, 2n, 3n)).toEqual(["Already", "Already", "SoldOut"])
      }))

    it.effect("an erased coupon keeps its place, and its user is a new one", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 3 })
        const id = terms.campaignId
        yield* hydrate(terms, couponsOf(id, 1, 2))
        const erased = { id: 2, userId: 2n, holdsAnother: false }
        expect(yield* gate.erase(id, [])).toEqual([])
        expect(yield* gate.erase(id, [erased])).toEqual([true])
        expect(yield* gate.inspect(id)).toMatchObject({ hydrated: true, issued: 2 })
        expect(yield* gate.erase(id, [erased, erased])).toEqual([true, true])
        // What was read before the erasure adds nothing, alone or among others.
        yield* gate.confirm(id, [couponOf(id, 2)])
        yield* gate.confirm(id, couponsOf(id, 1, 2))
        expect(yield* gate.inspect(id)).toMatchObject({ issued: 2 })
        expect(yield* reserveTags(id, 1n, 2n, 3n)).toEqual(["Already", "Reserved", "Full"])
        // The user's other coupon is the third one.
        yield* gate.confirm(id, [couponOf(id, 3, 2n)])
        expect(yield* gate.inspect(id)).toMatchObject({ issued: 3, pending: 0 })
        expect(yield* reserveTags(id, 1n, 2n, 3n)).toEqual(["Already", "Already", "SoldOut"])
        // The same erasure, once more, of a user who holds another coupon by now.
        expect(yield* gate.erase(id, [{ ...erased, holdsAnother: true }])).toEqual([true])
        expect(yield* gate.inspect(id)).toMatchObject({ issued: 3 })
        expect(yield* reserveTags(id, 2n, 3n)).toEqual(["Already", "SoldOut"])
      }))

    it.effect("a claim of a user who is erased keeps its reservation", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 3 })
        const id = terms.campaignId
        yield* hydrate(terms, couponsOf(id, 1, 1))
        yield* gate.erase(id, [{ id: 1, userId: 1n, holdsAnother: false }])
        expect(yield* reserveTags(id, 1n)).toEqual(["Reserved"])
        yield* gate.confirm(id, [couponOf(id, 1)])
        expect(yield* gate.inspect(id)).toMatchObject({ issued: 1, pending: 1 })
      }))

    it.effect("a rebuild before and after an erasure comes to the same", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 9 })
        const id = terms.campaignId
        const erased = { id: 2, userId: 2n, holdsAnother: false }
        const after = couponsOf(id, 1, 3).map((coupon) => coupon.id === 2 ? { ...coupon, userId: -2n } : coupon)
        const expectErased = Effect.gen(function*() {
          expect(yield* gate.inspect(id)).toMatchObject({ hydrated: true, issued: 3 })
          const { coupons } = yield* gate.absent(id, [...after, couponOf(id, 2)])
          expect(coupons).toEqual([couponOf(id, 2)])
          // Late news of before the erasure.
          yield* gate.confirm(id, [couponOf(id, 2)])
          expect(yield* gate.inspect(id)).toMatchObject({ issued: 3 })
        })
        // A gate that nothing was ever read into needs none of it; one that is being filled has to know the coupon.
        expect(yield* gate.erase(id, [erased])).toEqual([true])
        expect(yield* gate.hydrateBegin(terms, "first", LEASE)).toBe("Granted")
        expect(yield* gate.erase(id, [erased])).toEqual([false])
        expect(yield* gate.hydrateChunk(id, "first", 0, couponsOf(id, 1, 2))).toBe(true)
        expect(yield* gate.erase(id, [erased])).toEqual([true])
        expect(yield* gate.hydrateChunk(id, "first", 2, couponsOf(id, 3, 3))).toBe(true)
        expect(yield* gate.hydrateEnd(id, "first", 3)).toBe(true)
        yield* expectErased
        // Pages that were read before and are added after.
        expect(yield* gate.cold(id, "first")).toBe(true)
        yield* hydrate(terms, couponsOf(id, 1, 3), "second")
        yield* expectErased
        yield* gate.forget(id)
        yield* hydrate(terms, after, "third")
        yield* expectErased
        // The user of before was still there when the gate was rebuilt.
        yield* gate.forget(id)
        yield* hydrate(terms, couponsOf(id, 1, 3), "fourth")
        expect(yield* gate.cold(id, "fourth")).toBe(true)
        yield* hydrate(terms, after, "fifth")
        expect(yield* gate.inspect(id)).toMatchObject({ issued: 4 })
        expect(yield* gate.erase(id, [erased])).toEqual([true])
        yield* expectErased
      }))

    it.effect("a gate that lacks the coupon says so, unless it has nothing to know", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 9 })
        const id = terms.campaignId
        const erased = { id: 2, userId: 2n, holdsAnother: false }
        yield* hydrate(terms, couponsOf(id, 1, 1))
        expect(yield* gate.erase(id, [erased, { id: 1, userId: 1n, holdsAnother: false }])).toEqual([false, true])
        expect(yield* gate.cold(id, "first")).toBe(true)
        expect(yield* gate.erase(id, [erased])).toEqual([true])
        yield* gate.retire({ ...terms, status: "ENDED" })
        expect(yield* gate.erase(id, [erased])).toEqual([true])
        expect(yield* gate.inspect(id)).toMatchObject({ condition: "Retired", issued: 0 })
      }))

    it.effect("a retired campaign can be rebuilt", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const terms = termsOf({ couponLimit: 2, status: "ENDED" })
        const id = terms.campaignId
        yield* gate.retire(terms)
        expect(yield* reserveTags(id, 1n)).toEqual(["Reserved"])
        yield* hydrate(terms, [couponOf(id, 1)])
        expect(yield* gate.inspect(id)).toMatchObject({ condition: "Sound", hydrated: true, issued: 1 })
        expect(yield* reserveTags(id, 1n, 2n)).toEqual(["Already", "Ended"])
      }))

    it.effect("forgets a campaign altogether, and no other", () =>
      Effect.gen(function*() {
        const gate = yield* Gate
        const [terms, other] = [termsOf(), termsOf()]
        yield* hydrate(terms, [couponOf(terms.campaignId, 1)])
        yield* hydrate(other, [couponOf(other.campaignId, 1)])
        yield* reserve(terms.campaignId, 2n)
        yield* gate.forget(terms.campaignId)
        expect(yield* gate.inspect(terms.campaignId)).toMatchObject({ generation: undefined, issued: 0, pending: 0 })
        expect(yield* reserveTags(terms.campaignId, 1n)).toEqual(["Cold"])
        expect(yield* reserveTags(other.campaignId, 1n)).toEqual(["Already"])
        // What comes late for a campaign that is gone does no harm.
        yield* gate.release(terms.campaignId, [{ userId: 2n, value: "1:n1" }])
        expect(yield* gate.cold(terms.campaignId, "first")).toBe(false)
      }))
  })
