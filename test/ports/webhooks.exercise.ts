import { layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { randomBytes } from "node:crypto"
import { expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import { changeBy } from "../../src/domain/ChangeRecord.ts"
import { MAX_WEBHOOKS, type WebhookEndpoint } from "../../src/domain/webhooks/Webhook.ts"
import { type HeldCursor, type WebhookAttempt, WebhookCursors } from "../../src/ports/webhooks/WebhookCursors.ts"
import { WebhookEndpoints } from "../../src/ports/webhooks/WebhookEndpoints.ts"
import { WebhookRecords } from "../../src/ports/webhooks/WebhookRecords.ts"

const record = () => changeBy(named("ops"))

const draft = (fields: Partial<WebhookEndpoint> = {}): WebhookEndpoint => ({
  id: randomBytes(8).toString("hex"),
  version: 1,
  url: "https://shop.example/hook?a='1'&b=\"2\"\\",
  description: "가게 'A' \\ \"",
  types: ["coupon.issued"],
  scope: { all: 0, some: [] },
  mode: "BATCH",
  onFailure: "RETRY",
  maxAttempts: 8,
  concurrency: 4,
  status: "ENABLED",
  reason: "",
  disabledAt: undefined,
  failingSince: undefined,
  secrets: [{ sealed: "v1.k1.a.b", expiresAt: undefined }, { sealed: "v1.k1.c.d", expiresAt: 1_234_567_890_123 }],
  createdAt: Date.now(),
  updatedAt: Date.now(),
  ...fields
})

const at = (sequence: number, number = 0) => ({ sequence, number })

const attempt = (from: number, to: number, fields: Partial<WebhookAttempt> = {}): WebhookAttempt => ({
  from: at(from),
  to: at(to),
  requests: 1,
  events: to - from,
  result: "FAILED",
  status: 503,
  reason: "the receiver answered 503",
  answer: "no '\u0000' \\ 🎁",
  tookMillis: 12,
  ...fields
})

/** An endpoint that is stored; each test has its own. */
const endpoint = (fields: Partial<WebhookEndpoint> = {}) =>
  Effect.gen(function*() {
    const endpoints = yield* WebhookEndpoints
    const made = draft(fields)
    expect(yield* endpoints.create(made, record())).toBe(true)
    yield* Effect.addFinalizer(() =>
      Effect.ignore(Effect.flatMap(find(made.id), (found) =>
        found === undefined ? Effect.void : endpoints.remove(found, record()))))
    return made
  })

const find = (id: string) =>
  Effect.flatMap(WebhookEndpoints, ({ all }) => Effect.map(all, (found) => found.find((one) => one.id === id)))

const claim = (
  { concurrency, id }: WebhookEndpoint,
  campaignIds: ReadonlyArray<number>,
  owner = "one",
  leaseMillis = 60_000,
  since = 0
) =>
  Effect.flatMap(WebhookCursors, (cursors) =>
    cursors.claim({
      endpointId: id,
      campaigns: campaignIds.map((campaignId) => ({ campaignId, since })),
      concurrency,
      owner,
      leaseMillis
    }))

/** The one cursor that a claim has to get. */
const claimOne = (of: WebhookEndpoint, campaignId: number, owner?: string, leaseMillis?: number) =>
  Effect.map(claim(of, [campaignId], owner, leaseMillis), ({ held, others }): HeldCursor => {
    expect(others).toEqual([])
    expect(held).toHaveLength(1)
    return held[0]!
  })

let campaigns = 1_000
const campaign = () => ++campaigns

/** Changes the event logs. */
export interface Logs<R> {
  /** Appends events to a campaign's log, one at each of these times. */
  readonly append: (campaignId: number, times: ReadonlyArray<number>) => Effect.Effect<void, never, R>
  /** Removes a campaign's events up to a sequence, as retention does. */
  readonly forget: (campaignId: number, upTo: number) => Effect.Effect<void, never, R>
}

/** The semantics of the ports of webhooks, on whichever store the layer provides. */
export const exercise = <R, E>(
  name: string,
  layer: Layer.Layer<WebhookEndpoints | WebhookCursors | WebhookRecords | R, E>,
  { append, forget }: Logs<R>,
  acts: Effect.Effect<ReadonlyArray<string>, never, R>
): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(name, (it) => {
    it.scoped("keeps an endpoint as it was stored, and its changes in the audit log", () =>
      Effect.gen(function*() {
        const endpoints = yield* WebhookEndpoints
        const before = (yield* acts).length
        const made = yield* endpoint({ scope: { all: undefined, some: [{ campaignId: 7, since: 12 }] } })
        expect(yield* find(made.id)).toEqual(made)
        expect(Math.abs((yield* endpoints.now) - Date.now())).toBeLessThan(60_000)
        const to = { ...made, url: "https://other.example/", scope: { all: 5, some: [] }, reason: "why" }
        expect(yield* endpoints.change({ ...record(), action: "webhook.update", from: made, to })).toBe(true)
        const changed = (yield* find(made.id))!
        expect(changed).toMatchObject({ url: to.url, version: 2, scope: to.scope, reason: "why" })
        // Decided on what it was before.
        expect(yield* endpoints.change({ ...record(), action: "webhook.update", from: made, to })).toBe(false)
        expect(yield* endpoints.remove(made, record())).toBe(false)
        expect(yield* endpoints.remove(changed, record())).toBe(true)
        expect(yield* find(made.id)).toBeUndefined()
        expect((yield* acts).slice(before)).toEqual(["webhook.create", "webhook.update", "webhook.delete"])
      }))

    it.scoped("stores no more than it may", () =>
      Effect.gen(function*() {
        const endpoints = yield* WebhookEndpoints
        const there = (yield* endpoints.all).length
        const made = yield* Effect.forEach(Array.from({ length: MAX_WEBHOOKS - there }), () => endpoint())
        const before = (yield* acts).length
        expect(yield* endpoints.create(draft(), record())).toBe(false)
        expect(yield* endpoints.all).toHaveLength(MAX_WEBHOOKS)
        expect(yield* acts).toHaveLength(before)
        expect(made.length).toBeGreaterThan(0)
      }))

    it.scoped("notes since when deliveries fail, once, and seals secrets anew", () =>
      Effect.gen(function*() {
        const endpoints = yield* WebhookEndpoints
        const made = yield* endpoint()
        yield* endpoints.noteFailing(made.id, true)
        const since = (yield* find(made.id))!.failingSince!
        expect(Math.abs(since - Date.now())).toBeLessThan(60_000)
        yield* endpoints.noteFailing(made.id, true)
        expect((yield* find(made.id))!.failingSince).toBe(since)
        yield* endpoints.noteFailing(made.id, false)
        expect((yield* find(made.id))!.failingSince).toBeUndefined()
        yield* endpoints.reseal(made, ["v1.k2.x.y", "v1.k2.z.z"])
        const resealed = (yield* find(made.id))!
        expect(resealed.secrets.map(({ sealed }) => sealed)).toEqual(["v1.k2.x.y", "v1.k2.z.z"])
        expect(resealed.secrets[1]!.expiresAt).toBe(1_234_567_890_123)
        expect(resealed.version).toBe(1)
      }))

    it.scoped("begins before the first event of its time", () =>
      Effect.gen(function*() {
        const made = yield* endpoint({ concurrency: 16 })
        const [some, none, old] = [campaign(), campaign(), campaign()]
        yield* append(some, [1_000, 2_000, 3_000, 4_000])
        yield* append(old, [1_000, 2_000])
        const { held } = yield* claim(made, [some, none, old], "one", 60_000, 3_000)
        const positions = new Map(held.map(({ campaignId, position }) => [campaignId, position]))
        expect(positions.get(some)).toEqual(at(2))
        expect(positions.get(none)).toEqual(at(0))
        expect(positions.get(old)).toEqual(at(2))
      }))

    it.scoped("is held by one, until that one gives it back or its lease ends", () =>
      Effect.gen(function*() {
        const cursors = yield* WebhookCursors
        const made = yield* endpoint()
        const id = campaign()
        const first = yield* claimOne(made, id)
        const refused = yield* claim(made, [id], "two")
        expect(refused.held).toEqual([])
        expect(refused.others).toHaveLength(1)
        expect(refused.others[0]!.waitMillis).toBeGreaterThan(50_000)
        yield* cursors.release(first)
        const second = yield* claimOne(made, id, "two", 500)
        expect(second.token).toBeGreaterThan(first.token)
        yield* Effect.sleep("600 millis")
        const third = yield* claimOne(made, id, "three")
        // Those before it move nothing.
        expect(yield* cursors.advance(first, at(5), undefined)).toBe(false)
        expect(yield* cursors.advance(second, at(5), attempt(0, 5))).toBe(false)
        yield* cursors.fail(second, { position: at(5), end: at(6), failures: 1, waitMillis: 1, attempt: attempt(5, 6) })
        expect(yield* cursors.park(second, attempt(0, 5))).toBe("Lost")
        yield* cursors.release(second)
        expect(yield* cursors.renew([first, second, third], 60_000)).toEqual([third])
        expect(yield* cursors.advance(third, at(7, 3), attempt(0, 7, { result: "DELIVERED" }))).toBe(true)
        yield* cursors.release(third)
        expect((yield* claimOne(made, id)).position).toEqual(at(7, 3))
        const noted = yield* Effect.flatMap(WebhookRecords, (records) =>
          records.attempts({ endpointId: made.id, campaignId: id, beforeId: undefined, limit: 10 }))
        expect(noted.map(({ result }) => result)).toEqual(["DELIVERED"])
      }))

    it.scoped("keeps a lease for as long as it is renewed", () =>
      Effect.gen(function*() {
        const cursors = yield* WebhookCursors
        const made = yield* endpoint()
        const id = campaign()
        const held = yield* claimOne(made, id, "one", 200)
        expect(yield* cursors.renew([held], 60_000)).toEqual([held])
        yield* Effect.sleep("250 millis")
        expect((yield* claim(made, [id], "two")).held).toEqual([])
        expect(yield* cursors.renew([], 1)).toEqual([])
      }))

    it.scoped("gives no more cursors of an endpoint than may be held, and none that is disabled", () =>
      Effect.gen(function*() {
        const endpoints = yield* WebhookEndpoints
        const made = yield* endpoint({ concurrency: 2 })
        const ids = [campaign(), campaign(), campaign(), campaign()]
        const both = yield* Effect.all([claim(made, ids, "one"), claim(made, ids, "two")], { concurrency: 2 })
        expect(both.flatMap(({ held }) => held)).toHaveLength(2)
        const other = yield* endpoint({ status: "DISABLED" })
        expect((yield* claim(other, ids)).held).toEqual([])
        const to = { ...other, status: "ENABLED" as const }
        yield* endpoints.change({ ...record(), action: "webhook.update", from: other, to })
        expect((yield* claim(other, ids)).held).toHaveLength(4)
      }))

    it.scoped("waits after a failure, remembers the batch, and is due again", () =>
      Effect.gen(function*() {
        const cursors = yield* WebhookCursors
        const endpoints = yield* WebhookEndpoints
        const made = yield* endpoint()
        const id = campaign()
        const failure = { position: at(3), end: at(4, 9), failures: 2, waitMillis: 60_000, attempt: attempt(3, 4) }
        yield* cursors.fail(yield* claimOne(made, id), failure)
        const { held, others } = yield* claim(made, [id])
        expect(held).toEqual([])
        expect(others[0]).toMatchObject({ position: at(3), end: at(4, 9), failures: 2 })
        expect(others[0]!.waitMillis).toBeGreaterThan(50_000)
        const isDue = Effect.map(cursors.due(100), (due) => due.some(({ endpointId }) => endpointId === made.id))
        expect(yield* isDue).toBe(false)
        // Another URL: what failed is worth another attempt.
        const to = { ...made, url: "https://new.example/" }
        yield* endpoints.change({ ...record(), action: "webhook.update", from: made, to })
        const again = yield* claimOne(made, id)
        expect(again).toMatchObject({ position: at(3), end: at(4, 9), failures: 2 })
        yield* cursors.fail(again, { ...failure, waitMillis: 1 })
        yield* Effect.sleep("20 millis")
        expect(yield* isDue).toBe(true)
        const last = yield* claimOne(made, id)
        expect(yield* isDue).toBe(false)
        expect(yield* cursors.advance(last, at(4, 9), undefined)).toBe(true)
        yield* cursors.release(last)
        expect(yield* claimOne(made, id)).toMatchObject({ position: at(4, 9), end: undefined, failures: 0 })
      }))

    it.scoped("goes back, also while it is held, and is due then", () =>
      Effect.gen(function*() {
        const cursors = yield* WebhookCursors
        const made = yield* endpoint()
        const [id, fresh] = [campaign(), campaign()]
        const held = yield* claimOne(made, id)
        yield* cursors.advance(held, at(9), undefined)
        const before = (yield* acts).length
        yield* cursors.replay({ ...record(), endpointId: made.id, campaignId: id, sequence: 4 })
        yield* cursors.replay({ ...record(), endpointId: made.id, campaignId: fresh, sequence: 2 })
        expect((yield* acts).slice(before)).toEqual(["webhook.replay", "webhook.replay"])
        expect(yield* cursors.advance(held, at(10), undefined)).toBe(false)
        yield* Effect.sleep("5 millis")
        const due = (yield* cursors.due(1_000)).filter(({ endpointId }) => endpointId === made.id)
        expect(due.map(({ campaignId, position }) => [campaignId, position.sequence]))
          .toEqual(expect.arrayContaining([[id, 4], [fresh, 2]]))
        expect((yield* claimOne(made, id)).position).toEqual(at(4))
      }))

    it.scoped("skips what retention has removed, once, and goes back no further than to the first event there is", () =>
      Effect.gen(function*() {
        const cursors = yield* WebhookCursors
        const made = yield* endpoint()
        const id = campaign()
        yield* append(id, [1_000, 2_000, 3_000, 4_000])
        const held = yield* claimOne(made, id)
        yield* forget(id, 2)
        const before = (yield* acts).length
        expect(yield* cursors.skip(held, at(2), record())).toBe(true)
        expect(yield* cursors.skip(held, at(2), record())).toBe(true)
        expect((yield* acts).slice(before)).toEqual(["webhook.skip"])
        yield* cursors.release(held)
        expect(yield* cursors.skip(held, at(3), record())).toBe(false)
        expect((yield* acts).slice(before)).toEqual(["webhook.skip"])
        expect((yield* claimOne(made, id)).position).toEqual(at(2))
        yield* cursors.replay({ ...record(), endpointId: made.id, campaignId: id, sequence: 0 })
        expect((yield* claimOne(made, id)).position).toEqual(at(2))
        yield* cursors.replay({ ...record(), endpointId: made.id, campaignId: id, sequence: 3 })
        expect((yield* claimOne(made, id)).position).toEqual(at(3))
      }))

    it.scoped("says which events endpoints still need", () =>
      Effect.gen(function*() {
        const endpoints = yield* WebhookEndpoints
        const cursors = yield* WebhookCursors
        const id = campaign()
        yield* append(id, [1_000, 2_000, 3_000, 4_000])
        const needed = cursors.neededAfter(id)
        expect(yield* needed).toBeUndefined()
        const since = (time: number) => ({ scope: { all: undefined, some: [{ campaignId: id, since: time }] } })
        // Without a cursor it would begin there; one of another campaign, or after the last event, needs nothing.
        const made = yield* endpoint({ ...since(3_000), onFailure: "PARK" })
        yield* endpoint(since(5_000))
        yield* endpoint({ scope: { all: undefined, some: [{ campaignId: id + 1, since: 0 }] } })
        expect(yield* needed).toBe(2)
        yield* endpoint({ ...since(0), status: "DISABLED" })
        expect(yield* needed).toBe(2)
        const held = (yield* claim(made, [id], "one", 60_000, 3_000)).held[0]!
        yield* cursors.park(held, attempt(2, 3, { result: "PARKED" }))
        yield* cursors.advance(held, at(4), undefined)
        // What is set aside may be asked for again.
        expect(yield* needed).toBe(2)
        const { claimParked, retry, settleParked } = yield* WebhookRecords
        yield* retry({ ...record(), endpointId: made.id, ids: undefined })
        yield* settleParked((yield* claimParked(made.id, "one", 60_000))!, undefined)
        expect(yield* needed).toBe(4)
        const to = { ...made, status: "DISABLED" as const }
        yield* endpoints.change({ ...record(), action: "webhook.update", from: made, to })
        expect(yield* needed).toBeUndefined()
      }))

    it.scoped("sets a batch aside once, moves on, and has it sent again when that is asked for", () =>
      Effect.gen(function*() {
        const cursors = yield* WebhookCursors
        const records = yield* WebhookRecords
        const made = yield* endpoint({ onFailure: "PARK" })
        const id = campaign()
        const held = yield* claimOne(made, id)
        yield* cursors.advance(held, at(2), undefined)
        const failed = attempt(2, 5, { from: at(2, 1), to: at(5, 2), result: "PARKED", reason: "it's \\ gone" })
        expect(yield* cursors.park(held, failed)).toBe("Parked")
        expect(yield* cursors.park(held, { ...failed, from: at(5, 2), to: at(6) })).toBe("Parked")
        const list = records.parked({ endpointId: made.id, afterId: 0, limit: 10 })
        const [first, second] = yield* list
        const shown = { campaignId: id, from: at(2, 1), to: at(5, 2), reason: "it's \\ gone", isDue: false }
        expect(first).toMatchObject(shown)
        expect(yield* records.parked({ endpointId: made.id, afterId: first!.id, limit: 10 })).toEqual([second])
        yield* cursors.release(held)
        expect((yield* claimOne(made, id)).position).toEqual(at(6))

        expect(yield* records.claimParked(made.id, "one", 60_000)).toBeUndefined()
        expect(yield* records.retry({ ...record(), endpointId: made.id, ids: [first!.id] })).toBe(1)
        expect(yield* records.dueParked).toContain(made.id)
        const claims = yield* Effect.all(
          [records.claimParked(made.id, "one", 60_000), records.claimParked(made.id, "two", 60_000)],
          { concurrency: 2 }
        )
        const taken = claims.filter((one) => one !== undefined)
        expect(taken).toHaveLength(1)
        expect(taken[0]!.id).toBe(first!.id)
        expect(yield* records.dueParked).not.toContain(made.id)
        yield* records.settleParked(taken[0]!, "failed again")
        expect((yield* list).map(({ isDue, reason }) => [isDue, reason])[0]).toEqual([false, "failed again"])
        expect(yield* records.retry({ ...record(), endpointId: made.id, ids: undefined })).toBe(2)
        const again = (yield* records.claimParked(made.id, "two", 60_000))!
        yield* records.settleParked(taken[0]!, undefined)
        expect(yield* list).toHaveLength(2)
        yield* records.settleParked(again, undefined)
        expect((yield* list).map(({ id }) => id)).toEqual([second!.id])
      }))

    it.scoped("lists attempts, the newest first, and removes those that are old or too many", () =>
      Effect.gen(function*() {
        const records = yield* WebhookRecords
        const made = yield* endpoint()
        const other = yield* endpoint()
        yield* Effect.forEach([1, 2, 3, 4], (n) => records.note(made.id, n % 2, attempt(n, n + 1)), { discard: true })
        yield* records.note(other.id, 1, attempt(1, 2, { status: undefined, reason: "쿠".repeat(600) }))
        const list = (of: WebhookEndpoint, beforeId?: number, campaignId?: number) =>
          records.attempts({ endpointId: of.id, campaignId, beforeId, limit: 10 })
        const all = yield* list(made)
        expect(all.map(({ from }) => from.sequence)).toEqual([4, 3, 2, 1])
        expect(all[0]).toMatchObject({ status: 503, reason: "the receiver answered 503", tookMillis: 12, events: 1 })
        expect(all[0]!.answer).toContain("\\ 🎁")
        expect((yield* list(made, all[1]!.id)).map(({ from }) => from.sequence)).toEqual([2, 1])
        expect((yield* list(made, undefined, 1)).map(({ from }) => from.sequence)).toEqual([3, 1])
        const [one] = yield* list(other)
        expect(one!.status).toBeUndefined()
        expect(one!.reason.length).toBeLessThanOrEqual(600)
        yield* records.purge(3_600_000, 2)
        expect((yield* list(made)).map(({ from }) => from.sequence)).toEqual([4, 3])
        expect(yield* list(other)).toHaveLength(1)
        yield* Effect.sleep("20 millis")
        yield* records.purge(10, 100)
        expect(yield* list(made)).toEqual([])
      }))

    it.scoped("forgets the campaigns that an endpoint leaves, and all of one that is removed", () =>
      Effect.gen(function*() {
        const endpoints = yield* WebhookEndpoints
        const cursors = yield* WebhookCursors
        const records = yield* WebhookRecords
        const made = yield* endpoint()
        const [stays, leaves] = [campaign(), campaign()]
        yield* append(leaves, [1_000])
        const { held } = yield* claim(made, [stays, leaves])
        for (const one of held) {
          yield* cursors.advance(one, at(6), attempt(0, 6))
          yield* cursors.release(one)
        }
        const to = { ...made, scope: { all: undefined, some: [{ campaignId: stays, since: 0 }] } }
        yield* endpoints.change({ ...record(), action: "webhook.update", from: made, to })
        const after = yield* claim(made, [stays, leaves])
        expect(after.held.map(({ position }) => position.sequence).sort()).toEqual([0, 6])
        yield* endpoints.remove((yield* find(made.id))!, record())
        expect(yield* records.attempts({ endpointId: made.id, campaignId: undefined, beforeId: undefined, limit: 9 }))
          .toEqual([])
        for (const one of after.held) expect(yield* cursors.advance(one, at(7), undefined)).toBe(false)
      }))
  })
