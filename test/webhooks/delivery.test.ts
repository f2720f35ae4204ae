import { it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Exit from "effect/Exit"
import { Webhook } from "standardwebhooks"
import { randomBytes } from "node:crypto"
import { describe, expect } from "vitest"
import * as AppConfig from "../../src/config/AppConfig.ts"
import * as SecretsKey from "../../src/config/SecretsKey.ts"
import { named } from "../../src/domain/Actor.ts"
import { changeBy } from "../../src/domain/ChangeRecord.ts"
import type { WebhookEndpoint } from "../../src/domain/webhooks/Webhook.ts"
import { WebhookCursors } from "../../src/ports/webhooks/WebhookCursors.ts"
import { WebhookEndpoints } from "../../src/ports/webhooks/WebhookEndpoints.ts"
import { WebhookRecords } from "../../src/ports/webhooks/WebhookRecords.ts"
import type { CloudEvent } from "../../src/contract/webhooks/CloudEvents.ts"
import * as StandardWebhooks from "../../src/contract/webhooks/StandardWebhooks.ts"
import * as SecretBox from "../../src/webhooks/secrets/SecretBox.ts"
import { type SendResult, type Sending, WebhookSender } from "../../src/webhooks/sending/WebhookSender.ts"
import * as WebhookDelivery from "../../src/webhooks/delivery/WebhookDelivery.ts"
import { webhooks } from "../../src/webhooks/delivery/WebhookMetrics.ts"
import * as MemoryWebhooks from "./MemoryWebhooks.ts"

const KEY = `k1:${Buffer.alloc(32, 1).toString("base64")}`
const box = SecretBox.make(Redacted.value(Either.getOrThrow(SecretsKey.parse(KEY))))
const secret = StandardWebhooks.makeSecret()

const settings = { SECRETS_KEY: KEY, WEBHOOK_RETRIES: "50ms,60ms", DATA_DIR: "/nonexistent" }

const ok: SendResult = { _tag: "Answered", status: 200, text: "", retryAfterMillis: undefined, tookMillis: 1 }
const answered = (status: number, retryAfterMillis?: number): SendResult => ({ ...ok, status, retryAfterMillis })

/** Receivers in memory: what they got, and what they answer. */
class Receivers extends Context.Tag("test/Receivers")<Receivers, {
  readonly got: Array<Sending>
  /** What the next request gets; the last one has succeeded by default. */
  answer: (sending: Sending) => Effect.Effect<SendResult>
}>() {}

const senderLayer = Layer.effectContext(Effect.sync(() => {
  const receivers: Receivers["Type"] = { got: [], answer: () => Effect.succeed(ok) }
  return Context.make(Receivers, receivers).pipe(
    Context.add(WebhookSender, {
      check: () => Effect.void,
      send: (sending) =>
        Effect.suspend(() => {
          receivers.got.push(sending)
          return receivers.answer(sending)
        })
    })
  )
}))

const layer = Layer.mergeAll(MemoryWebhooks.layer, senderLayer, AppConfig.layerTest(settings))

/** Another instance on the same stores. Ends with its scope. */
const instance = WebhookDelivery.make

/** Runs agents as the service does, until something holds. */
const until = <E, R>(
  deliveries: ReadonlyArray<WebhookDelivery.WebhookDelivery["Type"]>,
  holds: Effect.Effect<boolean, E, R>
) =>
  Effect.gen(function*() {
    while (!(yield* holds)) {
      for (const delivery of deliveries) {
        yield* Effect.ignore(delivery.runOnce)
        yield* Effect.ignore(delivery.renew)
      }
      yield* Effect.sleep("5 millis")
    }
  }).pipe(Effect.timeoutFail({ duration: "30 seconds", onTimeout: () => new Error("it did not come true") }))

const endpoint = (fields: Partial<WebhookEndpoint> = {}) =>
  Effect.gen(function*() {
    const endpoints = yield* WebhookEndpoints
    const id = randomBytes(8).toString("hex")
    const made: WebhookEndpoint = {
      id,
      version: 1,
      url: `https://${id}.example/`,
      description: "",
      types: [],
      scope: { all: 0, some: [] },
      mode: "BATCH",
      onFailure: "RETRY",
      maxAttempts: 8,
      concurrency: 4,
      status: "ENABLED",
      reason: "",
      disabledAt: undefined,
      failingSince: undefined,
      secrets: [{ sealed: box.seal(secret, id), expiresAt: undefined }],
      createdAt: Date.now(),
      updatedAt: Date.now(),
      ...fields
    }
    yield* endpoints.create(made, changeBy(named("ops")))
    return made
  })

/** The events of a request, verified. */
const eventsOf = ({ body, headers }: Sending): ReadonlyArray<CloudEvent> =>
  [new Webhook(secret).verify(body, { ...headers }) as CloudEvent | ReadonlyArray<CloudEvent>].flat()

const ids = (sendings: ReadonlyArray<Sending>) => sendings.flatMap((sending) => eventsOf(sending).map(({ id }) => id))

const tests = (name: string, run: Effect.Effect<void, unknown, Layer.Layer.Success<typeof layer> | Scope.Scope>) =>
  it.scopedLive(name, () => Effect.provide(run, layer), { timeout: 40_000 })

describe("delivery", () => {
  tests("brings coupons in order, in batches of at most 500, signed, with what happened in between",
    Effect.gen(function*() {
      const { append, cursor, issue } = yield* MemoryWebhooks.MemoryStore
      const { got } = yield* Receivers
      const made = yield* endpoint()
      append(1, "campaign.created")
      issue(1, 300)
      append(1, "campaign.paused")
      issue(1, 701)
      const delivery = yield* instance
      yield* until([delivery], Effect.sync(() => cursor(made.id, 1)?.position.sequence === 4))
      const all = ids(got)
      expect(all).toHaveLength(1_003)
      expect(all[0]).toBe("1-1")
      expect(all[1]).toBe("1-2-1")
      expect(all[301]).toBe("1-3")
      expect(all[302]).toBe("1-4-301")
      expect(all.at(-1)).toBe("1-4-1001")
      expect(got.map((sending) => eventsOf(sending).length)).toEqual([500, 500, 3])
      const order = got.flatMap(eventsOf).map(({ sequence }) => sequence)
      expect(order).toEqual([...order].sort())
    }))

  tests("brings one coupon a request with EACH, and ranges with RANGE",
    Effect.gen(function*() {
      const { cursor, issue } = yield* MemoryWebhooks.MemoryStore
      const { got } = yield* Receivers
      const each = yield* endpoint({ mode: "EACH" })
      const range = yield* endpoint({ mode: "RANGE" })
      issue(1, 3)
      issue(1, 600)
      const delivery = yield* instance
      yield* until([delivery], Effect.sync(() =>
        [each, range].every(({ id }) => cursor(id, 1)?.position.sequence === 2)))
      const of = ({ url }: WebhookEndpoint) => got.filter((sending) => sending.url === url)
      expect(ids(of(range))).toEqual(["1-1", "1-2"])
      expect(of(range).flatMap(eventsOf).map(({ data }) => data)).toEqual([
        { campaignId: 1, firstNumber: 1, lastNumber: 3, count: 3 },
        { campaignId: 1, firstNumber: 4, lastNumber: 603, count: 600 }
      ])
      expect(ids(of(each).slice(0, 5))).toEqual(["1-1-1", "1-1-2", "1-1-3", "1-2-4", "1-2-5"])
      expect(of(each)[0]!.contentType).toMatch(/^application\/cloudevents\+json/)
      expect(of(range)[0]!.contentType).toMatch(/^application\/cloudevents-batch\+json/)
    }))

  tests("begins with what happened since the endpoint is there, and brings only the types that it wants",
    Effect.gen(function*() {
      const { append, cursor, issue } = yield* MemoryWebhooks.MemoryStore
      const { got } = yield* Receivers
      issue(1, 10, 1_000)
      issue(1, 10, 2_000)
      append(1, "campaign.paused", 3_000)
      issue(2, 5, 3_000)
      const made = yield* endpoint({
        types: ["coupon.issued"],
        scope: { all: undefined, some: [{ campaignId: 1, since: 1_500 }] },
        mode: "RANGE"
      })
      const delivery = yield* instance
      yield* until([delivery], Effect.sync(() => cursor(made.id, 1)?.position.sequence === 3))
      expect(ids(got)).toEqual(["1-2"])
      expect(cursor(made.id, 2)).toBeUndefined()
    }))

  tests("repeats the same batch after a failure, with the same id, and nothing after it comes before it",
    Effect.gen(function*() {
      const { cursor, issue } = yield* MemoryWebhooks.MemoryStore
      const receivers = yield* Receivers
      const made = yield* endpoint()
      issue(1, 600)
      let failures = 0
      receivers.answer = (sending) =>
        Effect.sync(() => {
          if (!sending.headers["webhook-id"]!.includes("_1_0.500_") || failures >= 2) return ok
          failures++
          // More is there when the batch is repeated, and it stays as it was.
          issue(1, 100)
          return answered(500)
        })
      const delivery = yield* instance
      yield* until([delivery], Effect.sync(() => cursor(made.id, 1)?.position.sequence === 3))
      const { got } = receivers
      expect(failures).toBe(2)
      expect(got[1]!.headers["webhook-id"]).toBe(got[2]!.headers["webhook-id"])
      expect(got[1]!.body).toBe(got[2]!.body)
      expect(got[2]!.body).toBe(got[3]!.body)
      const first = [...new Set(got.flatMap(eventsOf).map(({ sequence }) => sequence))]
      expect(first).toEqual([...first].sort())
      expect(first).toHaveLength(800)
      const endpoints = yield* WebhookEndpoints
      expect((yield* endpoints.all)[0]!.failingSince).toBeUndefined()
      const records = yield* WebhookRecords
      const noted = yield* records.attempts({ endpointId: made.id, campaignId: 1, beforeId: undefined, limit: 10 })
      expect(noted.filter(({ result }) => result === "FAILED")).toHaveLength(2)
    }))

  tests("waits as long as Retry-After asks for",
    Effect.gen(function*() {
      const { cursor, issue } = yield* MemoryWebhooks.MemoryStore
      const receivers = yield* Receivers
      const made = yield* endpoint()
      issue(1, 1)
      receivers.answer = () => Effect.succeed(answered(503, 3_600_000))
      const delivery = yield* instance
      yield* until([delivery], Effect.sync(() => cursor(made.id, 1)?.failures === 1))
      expect(cursor(made.id, 1)!.dueAt - Date.now()).toBeGreaterThan(3_500_000)
    }))

  tests("goes on to other campaigns and endpoints while one receiver is stuck",
    Effect.gen(function*() {
      const { cursor, issue } = yield* MemoryWebhooks.MemoryStore
      const receivers = yield* Receivers
      const stuck = yield* endpoint({ concurrency: 2 })
      const good = yield* endpoint()
      for (const id of [1, 2, 3]) issue(id, 10)
      receivers.answer = ({ url }) => url === stuck.url ? Effect.never : Effect.succeed(ok)
      const delivery = yield* instance
      yield* until([delivery], Effect.sync(() =>
        [1, 2, 3].every((id) => cursor(good.id, id)?.position.sequence === 1)))
      // No more of it at once than it may have.
      expect(receivers.got.filter(({ url }) => url === stuck.url).length).toBeLessThanOrEqual(2)
    }))

  tests("sets aside with PARK what failed too often, goes on, and sends it again when that is asked for",
    Effect.gen(function*() {
      const { cursor, issue } = yield* MemoryWebhooks.MemoryStore
      const receivers = yield* Receivers
      const records = yield* WebhookRecords
      const made = yield* endpoint({ onFailure: "PARK", maxAttempts: 2 })
      issue(1, 600)
      receivers.answer = (sending) =>
        Effect.succeed(eventsOf(sending)[0]!.id === "1-1-1" ? answered(400) : ok)
      const delivery = yield* instance
      yield* until([delivery], Effect.sync(() => cursor(made.id, 1)?.position.sequence === 1))
      expect(receivers.got.map(({ headers }) => headers["webhook-id"]!.split("_").slice(-2).join("-"))).toEqual([
        "0.0-0.500", "0.0-0.500", "0.500-1.0"
      ])
      const list = records.parked({ endpointId: made.id, afterId: 0, limit: 9 })
      const [parked] = yield* list
      expect(parked).toMatchObject({ from: { sequence: 0, number: 0 }, to: { sequence: 0, number: 500 } })
      const retry = records.retry({ ...changeBy(named("ops")), endpointId: made.id, ids: undefined })
      yield* retry
      yield* until([delivery], Effect.map(list, ([one]) => one?.isDue === false && receivers.got.length === 4))
      receivers.answer = () => Effect.succeed(ok)
      yield* retry
      yield* until([delivery], Effect.map(list, (all) => all.length === 0))
      expect(receivers.got[4]!.body).toBe(receivers.got[0]!.body)
    }))

  tests("counts what was set aside and is taken after all as a good delivery",
    Effect.gen(function*() {
      const { issue } = yield* MemoryWebhooks.MemoryStore
      const receivers = yield* Receivers
      const records = yield* WebhookRecords
      const endpoints = yield* WebhookEndpoints
      const made = yield* endpoint({ onFailure: "PARK", maxAttempts: 1, mode: "RANGE" })
      issue(1, 1)
      receivers.answer = () => Effect.succeed(answered(500))
      const delivery = yield* instance
      const list = records.parked({ endpointId: made.id, afterId: 0, limit: 9 })
      const isFailing = Effect.map(endpoints.all, ([one]) => one!.failingSince !== undefined)
      yield* until([delivery], Effect.zipWith(list, isFailing, (all, failing) => all.length === 1 && failing))
      receivers.answer = () => Effect.succeed(ok)
      yield* records.retry({ ...changeBy(named("ops")), endpointId: made.id, ids: undefined })
      yield* until([delivery], Effect.map(list, (all) => all.length === 0))
      expect(yield* isFailing).toBe(false)
    }))

  tests("disables an endpoint that answers 410 to what was set aside, and sends it nothing more",
    Effect.gen(function*() {
      const { acts, issue } = yield* MemoryWebhooks.MemoryStore
      const receivers = yield* Receivers
      const records = yield* WebhookRecords
      const endpoints = yield* WebhookEndpoints
      const made = yield* endpoint({ onFailure: "PARK", maxAttempts: 1, mode: "EACH" })
      issue(1, 3)
      receivers.answer = () => Effect.succeed(answered(500))
      const delivery = yield* instance
      const list = records.parked({ endpointId: made.id, afterId: 0, limit: 9 })
      yield* until([delivery], Effect.map(list, (all) => all.length === 3))
      receivers.answer = () => Effect.succeed(answered(410))
      receivers.got.length = 0
      yield* records.retry({ ...changeBy(named("ops")), endpointId: made.id, ids: undefined })
      const isDisabled = Effect.map(endpoints.all, ([one]) => one!.status === "DISABLED")
      yield* until([delivery], Effect.zipWith(list, isDisabled, (all, disabled) =>
        disabled && all.filter(({ isDue }) => isDue).length === 2))
      expect(receivers.got).toHaveLength(1)
      expect(acts.filter((action) => action === "webhook.disable")).toHaveLength(1)
      // Enabled again, it gets the others.
      receivers.answer = () => Effect.succeed(ok)
      const [from] = yield* endpoints.all
      const to = { ...from!, status: "ENABLED" as const, reason: "", disabledAt: undefined }
      yield* endpoints.change({ ...changeBy(named("ops")), action: "webhook.update", from: from!, to })
      yield* until([delivery], Effect.map(list, (all) => all.length === 1))
      expect(ids(receivers.got.slice(1))).toEqual(["1-1-2", "1-1-3"])
    }))

  tests("goes past what retention has removed, with a row in the audit log and a count, and on from there",
    Effect.gen(function*() {
      const store = yield* MemoryWebhooks.MemoryStore
      const receivers = yield* Receivers
      const made = yield* endpoint({ onFailure: "PARK", maxAttempts: 2 })
      store.issue(1, 600)
      store.issue(1, 5)
      store.append(1, "campaign.paused")
      const removed = yield* Deferred.make<void>()
      receivers.answer = ({ headers }) =>
        headers["webhook-id"]!.includes("_0.0_")
          ? Effect.succeed(answered(500))
          : Effect.as(Deferred.await(removed), answered(500))
      const delivery = yield* instance
      const records = yield* WebhookRecords
      const list = records.parked({ endpointId: made.id, afterId: 0, limit: 9 })
      // In the middle of a range, and while a batch has failed.
      yield* until([delivery], Effect.map(list, (all) => all.length === 1))
      const before = webhooks.skipped.value()
      store.forget(1, 2)
      receivers.answer = () => Effect.succeed(ok)
      receivers.got.length = 0
      yield* Deferred.succeed(removed, undefined)
      yield* until([delivery], Effect.sync(() => store.cursor(made.id, 1)?.position.sequence === 3))
      expect(ids(receivers.got)).toEqual(["1-3"])
      expect(store.acts.filter((action) => action === "webhook.skip")).toHaveLength(1)
      expect(webhooks.skipped.value() - before).toBe(2)
      // Nothing is left of what was set aside: nothing else is sent in its place.
      yield* records.retry({ ...changeBy(named("ops")), endpointId: made.id, ids: undefined })
      yield* until([delivery], Effect.map(list, (all) => all.length === 0))
      expect(ids(receivers.got)).toEqual(["1-3"])
      expect(webhooks.skipped.value() - before).toBe(3)
    }))

  tests("goes past a log of which nothing is left",
    Effect.gen(function*() {
      const store = yield* MemoryWebhooks.MemoryStore
      const receivers = yield* Receivers
      const cursors = yield* WebhookCursors
      const made = yield* endpoint()
      store.issue(1, 5)
      store.append(1, "campaign.paused")
      // A cursor before the first event.
      const { held } = yield* cursors.claim({
        endpointId: made.id,
        campaigns: [{ campaignId: 1, since: 0 }],
        concurrency: 4,
        owner: "dead",
        leaseMillis: 1
      })
      expect(held[0]!.position).toEqual({ sequence: 0, number: 0 })
      store.forget(1, 2)
      const delivery = yield* instance
      const state = Effect.sync(() => delivery.states()[0])
      yield* until([delivery], Effect.map(state, (one) =>
        store.cursor(made.id, 1)?.position.sequence === 2 && one?.backlog === 0))
      expect(store.acts.filter((action) => action === "webhook.skip")).toHaveLength(1)
      store.append(1, "campaign.resumed")
      yield* until([delivery], Effect.sync(() => store.cursor(made.id, 1)?.position.sequence === 3))
      expect(ids(receivers.got)).toEqual(["1-3"])
    }))

  tests("disables an endpoint that answers 410 at once, and one that fails for five days",
    Effect.gen(function*() {
      const store = yield* MemoryWebhooks.MemoryStore
      const receivers = yield* Receivers
      const endpoints = yield* WebhookEndpoints
      const gone = yield* endpoint()
      const old = yield* endpoint({ failingSince: Date.now() - 5 * 86_400_000 - 1 })
      const young = yield* endpoint({ failingSince: Date.now() - 5 * 86_400_000 + 60_000 })
      store.issue(1, 1)
      receivers.answer = ({ url }) => Effect.succeed(answered(url === gone.url ? 410 : 500))
      const delivery = yield* instance
      const disabled = Effect.map(endpoints.all, (all) => all.filter(({ status }) => status === "DISABLED"))
      yield* until([delivery], Effect.map(disabled, (all) => all.length === 2))
      const reasons = new Map((yield* disabled).map(({ id, reason }) => [id, reason]))
      expect(reasons.get(gone.id)).toContain("410")
      expect(reasons.get(old.id)).toContain("five days")
      expect(reasons.has(young.id)).toBe(false)
      expect(store.acts.filter((action) => action === "webhook.disable")).toHaveLength(2)
      // What it has missed comes once it is enabled again.
      receivers.answer = () => Effect.succeed(ok)
      const [from] = (yield* endpoints.all).filter(({ id }) => id === gone.id)
      const to = { ...from!, status: "ENABLED" as const, reason: "", disabledAt: undefined }
      store.issue(1, 1)
      yield* endpoints.change({ ...changeBy(named("ops")), action: "webhook.update", from: from!, to })
      yield* until([delivery], Effect.sync(() => store.cursor(gone.id, 1)?.position.sequence === 2))
    }))

  tests("goes back when an operator says so, though no event comes",
    Effect.gen(function*() {
      const { cursor, issue } = yield* MemoryWebhooks.MemoryStore
      const { got } = yield* Receivers
      const cursors = yield* WebhookCursors
      const made = yield* endpoint({ mode: "RANGE" })
      for (let n = 0; n < 3; n++) issue(1, 1)
      const delivery = yield* instance
      yield* until([delivery], Effect.sync(() => cursor(made.id, 1)?.position.sequence === 3))
      yield* cursors.replay({ ...changeBy(named("ops")), endpointId: made.id, campaignId: 1, sequence: 1 })
      yield* until([delivery], Effect.sync(() =>
        cursor(made.id, 1)?.position.sequence === 3 && ids(got).length >= 5))
      expect(ids(got)).toEqual(["1-1", "1-2", "1-3", "1-2", "1-3"])
    }))

  tests("signs with both secrets while one is rotated, and seals what is under a former key anew",
    Effect.gen(function*() {
      const { cursor, issue } = yield* MemoryWebhooks.MemoryStore
      const { got } = yield* Receivers
      const former = `k0:${Buffer.alloc(32, 9).toString("base64")}`
      const old = SecretBox.make(Redacted.value(Either.getOrThrow(SecretsKey.parse(former))))
      const [second, expired] = [StandardWebhooks.makeSecret(), StandardWebhooks.makeSecret()]
      const made = yield* endpoint()
      const endpoints = yield* WebhookEndpoints
      const secrets = [
        { sealed: old.seal(second, made.id), expiresAt: undefined },
        { sealed: old.seal(secret, made.id), expiresAt: Date.now() + 60_000 },
        { sealed: old.seal(expired, made.id), expiresAt: Date.now() - 1 }
      ]
      const to = { ...made, secrets }
      yield* endpoints.change({ ...changeBy(named("ops")), action: "webhook.rotate_secret", from: made, to })
      issue(1, 1)
      const delivery = yield* Effect.provide(instance, AppConfig.layerTest({
        ...settings,
        SECRETS_KEY: `${KEY},${former}`
      }))
      yield* until([delivery], Effect.sync(() => cursor(made.id, 1)?.position.sequence === 1))
      const { body, headers } = got[0]!
      for (const one of [secret, second]) new Webhook(one).verify(body, { ...headers })
      expect(() => new Webhook(expired).verify(body, { ...headers })).toThrow()
      const [stored] = yield* endpoints.all
      expect(stored!.secrets.every(({ sealed }) => !box.isStale(sealed))).toBe(true)
      expect(Either.getOrThrow(box.open(stored!.secrets[0]!.sealed, made.id))).toBe(second)
    }))

  tests("fails and says why where a secret's key is missing, without a request",
    Effect.gen(function*() {
      const { issue } = yield* MemoryWebhooks.MemoryStore
      const { got } = yield* Receivers
      const former = SecretBox.make(Redacted.value(Either.getOrThrow(
        SecretsKey.parse(`k0:${Buffer.alloc(32, 9).toString("base64")}`)
      )))
      const made = yield* endpoint({ secrets: [{ sealed: former.seal(secret, "x"), expiresAt: undefined }] })
      issue(1, 1)
      const records = yield* WebhookRecords
      const delivery = yield* instance
      const noted = records.attempts({ endpointId: made.id, campaignId: 1, beforeId: undefined, limit: 10 })
      yield* until([delivery], Effect.map(noted, (all) => all.length > 0))
      expect((yield* noted)[0]!.reason).toContain("the key k0")
      expect(got).toHaveLength(0)
    }))
})

describe("instances", () => {
  tests("share the work: each event comes in order, first by first, also when they come and go",
    Effect.gen(function*() {
      const { cursor, issue } = yield* MemoryWebhooks.MemoryStore
      const receivers = yield* Receivers
      const made = yield* endpoint({ mode: "RANGE", concurrency: 2 })
      const campaigns = [1, 2, 3]
      let n = 0
      receivers.answer = () => Effect.as(Effect.sleep("1 millis"), ++n % 4 === 0 ? answered(500) : ok)
      const scopes = yield* Effect.replicateEffect(Scope.make(), 3)
      const deliveries = yield* Effect.forEach(scopes, (scope) => Scope.extend(instance, scope))
      for (let round = 0; round < 20; round++) {
        for (const id of campaigns) issue(id, 1 + round)
        yield* Effect.forEach(round > 10 ? deliveries.slice(1) : deliveries, (delivery) => delivery.runOnce, {
          discard: true
        })
        yield* Effect.sleep("10 millis")
        // One stops while it delivers, and gives back what it holds.
        if (round === 10) yield* Scope.close(scopes[0]!, Exit.void)
      }
      yield* until(deliveries.slice(1), Effect.sync(() =>
        campaigns.every((id) => cursor(made.id, id)?.position.sequence === 20)))
      for (const id of campaigns) {
        const first = [...new Set(
          receivers.got.flatMap(eventsOf).filter(({ source }) => source === `/campaigns/${id}`)
            .map(({ sequence }) => Number(sequence))
        )]
        expect(first).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
      }
      for (const scope of scopes.slice(1)) yield* Scope.close(scope, Exit.void)
    }))

  tests("take over what one held that died, and what it still says moves nothing",
    Effect.gen(function*() {
      const { cursor, issue } = yield* MemoryWebhooks.MemoryStore
      const receivers = yield* Receivers
      const cursors = yield* WebhookCursors
      const made = yield* endpoint({ mode: "RANGE" })
      issue(1, 1)
      // An instance that died long ago, by its lease.
      const claim = cursors.claim({
        endpointId: made.id,
        campaigns: [{ campaignId: 1, since: 0 }],
        concurrency: 4,
        owner: "dead",
        leaseMillis: 300
      })
      const dead = (yield* claim).held[0]!
      const delivery = yield* instance
      yield* delivery.runOnce
      yield* Effect.sleep("50 millis")
      expect(receivers.got).toHaveLength(0)
      yield* until([delivery], Effect.sync(() => cursor(made.id, 1)?.position.sequence === 1))
      expect(yield* cursors.advance(dead, { sequence: 0, number: 0 }, undefined)).toBe(false)
      expect(cursor(made.id, 1)?.position.sequence).toBe(1)
    }))

  tests("stop sending when the stores are away, and go on after that",
    Effect.gen(function*() {
      const store = yield* MemoryWebhooks.MemoryStore
      const receivers = yield* Receivers
      const made = yield* endpoint({ mode: "EACH" })
      store.issue(1, 200)
      receivers.answer = () =>
        Effect.sync(() => {
          if (receivers.got.length === 20) store.down = true
          return ok
        })
      const delivery = yield* instance
      yield* Effect.ignore(delivery.runOnce)
      yield* Effect.sleep("300 millis")
      const sent = receivers.got.length
      expect(sent).toBeGreaterThanOrEqual(20)
      expect(sent).toBeLessThan(150)
      yield* Effect.sleep("50 millis")
      expect(receivers.got.length).toBe(sent)
      store.down = false
      // It holds the lease itself, and waits for its end.
      yield* until([delivery], Effect.sync(() => store.cursor(made.id, 1)?.position.sequence === 1))
      expect(new Set(ids(receivers.got)).size).toBe(200)
    }))
})

describe("the backlog", () => {
  tests("is known in events and in time, and gone when all is delivered",
    Effect.gen(function*() {
      const { cursor, issue } = yield* MemoryWebhooks.MemoryStore
      const receivers = yield* Receivers
      const made = yield* endpoint({ mode: "RANGE" })
      issue(1, 1, Date.now() - 60_000)
      issue(1, 1)
      issue(2, 1)
      receivers.answer = () => Effect.succeed(answered(500))
      const delivery = yield* instance
      const state = Effect.sync(() => delivery.states()[0])
      yield* until([delivery], Effect.map(state, (one) => one?.backlog === 3 && one.lagMillis > 50_000))
      receivers.answer = () => Effect.succeed(ok)
      yield* until([delivery], Effect.map(state, (one) => one?.backlog === 0))
      expect((yield* state)!.lagMillis).toBe(0)
      expect(cursor(made.id, 1)?.position.sequence).toBe(2)
    }))
})
