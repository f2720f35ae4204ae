import { it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describe, expect } from "vitest"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { named } from "../../src/domain/Actor.ts"
import { AuditLog } from "../../src/ports/AuditLog.ts"
import { CampaignStore } from "../../src/ports/CampaignStore.ts"
import { WebhookEndpoints } from "../../src/ports/webhooks/WebhookEndpoints.ts"
import * as WebhookDelivery from "../../src/webhooks/delivery/WebhookDelivery.ts"
import * as WebhookSender from "../../src/webhooks/sending/WebhookSender.ts"
import * as Webhooks from "../../src/webhooks/Webhooks.ts"
import * as MemoryWebhooks from "./MemoryWebhooks.ts"

const actor = named("ops")
const settings = {
  SECRETS_KEY: `k1:${Buffer.alloc(32, 1).toString("base64")}`,
  WEBHOOK_ALLOWED_NETWORKS: "10.0.0.0/8"
}

/** Campaigns 1 and 2 exist. */
const others = Layer.succeedContext(
  Context.make(CampaignStore, {
    startTimes: (ids: ReadonlyArray<number>) =>
      Effect.succeed(ids.filter((id) => id <= 2).map((campaignId) => ({ campaignId, startTime: 0 }))),
    find: () => Effect.succeed(undefined)
  } as Partial<CampaignStore["Type"]> as CampaignStore["Type"]).pipe(
    Context.add(AuditLog, { append: () => Effect.void } as Partial<AuditLog["Type"]> as AuditLog["Type"])
  )
)

const layerWith = (environment: Record<string, string>) =>
  Webhooks.layer.pipe(
    Layer.provideMerge(WebhookDelivery.layer),
    Layer.provideMerge(Layer.mergeAll(MemoryWebhooks.layer, WebhookSender.layer, others)),
    Layer.provide(AppConfig.layerTest(environment))
  )

const reasonOf = <A, R>(effect: Effect.Effect<A, Webhooks.WriteFailure, R>) =>
  Effect.map(Effect.flip(effect), (failure) =>
    failure._tag === "InvalidArgument" ? `${failure.field} ${failure.reason}` : failure._tag)

const URL_OF = "https://10.1.2.3/hook"

describe("webhooks", () => {
  it.scoped("are refused that may not be, by the field that is wrong", () =>
    Effect.gen(function*() {
      const webhooks = yield* Webhooks.Webhooks
      const create = (input: Parameters<typeof webhooks.create>[0]) => reasonOf(webhooks.create(input, actor))
      expect(yield* create({ url: "http://10.1.2.3/" })).toMatch(/^url must begin with https/)
      expect(yield* create({ url: "https://u:p@10.1.2.3/" })).toMatch(/^url must not hold a user/)
      expect(yield* create({ url: "https://192.168.0.1/" })).toMatch(/^url .*WEBHOOK_ALLOWED_NETWORKS/)
      expect(yield* create({ url: "https://0xa9fea9fe/" })).toMatch(/^url .*never go to/)
      expect(yield* create({ url: "https://[::ffff:127.0.0.1]/" })).toMatch(/^url .*127\.0\.0\.1/)
      expect(yield* create({})).toMatch(/^url /)
      expect(yield* create({ url: URL_OF, types: ["coupon.gone"] })).toMatch(/^types must be some of/)
      expect(yield* create({ url: URL_OF, campaignIds: [1, 3] })).toMatch(/^campaignIds .*3 does not/)
      expect(yield* create({ url: URL_OF, mode: 9 })).toMatch(/^mode /)
      expect(yield* create({ url: URL_OF, concurrency: 17 })).toMatch(/^concurrency /)
      expect(yield* create({ url: URL_OF, description: "\u202e" })).toMatch(/^description /)
      expect(yield* webhooks.list).toEqual([])
    }).pipe(Effect.provide(layerWith(settings))))

  it.scoped("are 50 at most", () =>
    Effect.gen(function*() {
      const webhooks = yield* Webhooks.Webhooks
      for (let n = 0; n < 50; n++) yield* webhooks.create({ url: URL_OF }, actor)
      expect(yield* reasonOf(webhooks.create({ url: URL_OF }, actor))).toMatch(/^body .*50 webhooks/)
      const [first] = yield* webhooks.list
      yield* webhooks.remove({ id: first!.endpoint.id, expected: 0n, actor })
      yield* webhooks.create({ url: URL_OF }, actor)
      expect(yield* webhooks.list).toHaveLength(50)
    }).pipe(Effect.provide(layerWith(settings))))

  it.scoped("change by version, keep two secrets at most, and store none of them in clear", () =>
    Effect.gen(function*() {
      const webhooks = yield* Webhooks.Webhooks
      const endpoints = yield* WebhookEndpoints
      const { secret, state } = yield* webhooks.create({ url: URL_OF, campaignIds: [1] }, actor)
      const { id } = state.endpoint
      expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
      const changed = yield* webhooks.update({ id, expected: 1n, actor }, { mode: 3, campaignIds: [], enabled: false })
      expect(changed.endpoint).toMatchObject({ version: 2, mode: "RANGE", status: "DISABLED" })
      // The campaign that it had keeps its time.
      expect(changed.endpoint.scope.some).toEqual(state.endpoint.scope.some)
      expect(yield* reasonOf(webhooks.update({ id, expected: 1n, actor }, { mode: 1 }))).toBe("Conflict")
      expect(yield* reasonOf(webhooks.update({ id, expected: 0n, actor }, {}))).toMatch(/^body /)
      const second = yield* webhooks.rotateSecret(id, undefined, actor)
      const third = yield* webhooks.rotateSecret(id, 60, actor)
      expect(new Set([secret, second.secret, third.secret]).size).toBe(3)
      const [stored] = yield* endpoints.all
      expect(stored!.secrets.map(({ expiresAt }) => expiresAt)).toEqual([undefined, third.formerUntil])
      expect(JSON.stringify(stored)).not.toMatch(/whsec_/)
      expect(yield* reasonOf(webhooks.rotateSecret(id, 604_801, actor))).toMatch(/^overlapSeconds /)
      expect(yield* reasonOf(webhooks.remove({ id: "0".repeat(16), expected: 0n, actor }))).toBe("RecordNotFound")
      expect(yield* reasonOf(webhooks.remove({ id: "x", expected: 0n, actor }))).toMatch(/^id /)
    }).pipe(Effect.provide(layerWith(settings))))

  it.scoped("go back within a campaign's log alone", () =>
    Effect.gen(function*() {
      const webhooks = yield* Webhooks.Webhooks
      const { cursor, issue } = yield* MemoryWebhooks.MemoryStore
      const { state } = yield* webhooks.create({ url: URL_OF }, actor)
      const { id } = state.endpoint
      for (let n = 0; n < 3; n++) issue(1, 1)
      const replay = (campaignId: number, afterSequence: bigint) =>
        webhooks.replay({ id, campaignId, afterSequence, actor })
      yield* replay(1, 2n)
      expect(cursor(id, 1)?.position).toEqual({ sequence: 2, number: 0 })
      expect(yield* reasonOf(replay(1, 4n))).toMatch(/^afterSequence must be 0 to 3/)
      expect(yield* reasonOf(replay(1, -1n))).toMatch(/^afterSequence/)
      expect(yield* reasonOf(replay(9, 0n))).toBe("RecordNotFound")
    }).pipe(Effect.provide(layerWith(settings))))

  it.scoped("are off without SECRETS_KEY, and say so", () =>
    Effect.gen(function*() {
      const webhooks = yield* Webhooks.Webhooks
      expect((yield* Effect.flip(webhooks.list))._tag).toBe("WebhooksOff")
      expect(yield* reasonOf(webhooks.create({ url: URL_OF }, actor))).toBe("WebhooksOff")
    }).pipe(Effect.provide(layerWith({}))))
})
