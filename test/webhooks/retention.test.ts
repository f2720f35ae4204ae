import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterEach, vi } from "vitest"
import * as EventRemoval from "../../src/agents/events/EventRemoval.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { named } from "../../src/domain/Actor.ts"
import { changeBy } from "../../src/domain/ChangeRecord.ts"
import type { WebhookEndpoint } from "../../src/domain/webhooks/Webhook.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { WebhookCursors } from "../../src/ports/webhooks/WebhookCursors.ts"
import { WebhookEndpoints } from "../../src/ports/webhooks/WebhookEndpoints.ts"
import * as TestLedger from "../issuance/TestLedger.ts"

const world = (retention: Record<string, string>) =>
  Layer.provideMerge(TestLedger.layer, AppConfig.layerTest(retention)).pipe(Layer.orDie)

const endpoint: WebhookEndpoint = {
  id: "0123456789abcdef",
  version: 1,
  url: "https://shop.example/",
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
  secrets: [],
  createdAt: 0,
  updatedAt: 0
}

/** A campaign with an event, and an endpoint that has a cursor before it. */
const scene = Effect.gen(function*() {
  const { addCampaign, events } = yield* TestLedger.TestLedger
  const { campaignId } = addCampaign({ createdAt: Date.now() })
  const log = yield* EventLog
  yield* log.append([campaignId])
  const before = events(campaignId).length
  expect(before).toBeGreaterThan(0)
  const endpoints = yield* WebhookEndpoints
  yield* endpoints.create(endpoint, changeBy(named("ops")))
  const cursors = yield* WebhookCursors
  const claim = { endpointId: endpoint.id, concurrency: 4, owner: "one", leaseMillis: 1 }
  const { held } = yield* cursors.claim({ ...claim, campaigns: [{ campaignId, since: 0 }] })
  const { runOnce } = yield* EventRemoval.make
  return {
    cursors,
    endpoints,
    held: held[0]!,
    /** How many events are left after the removal at this age. */
    leftAfter: (age: Duration.DurationInput) =>
      Effect.gen(function*() {
        vi.setSystemTime(Date.now() + Duration.toMillis(age))
        yield* runOnce
        return (yield* log.read(campaignId, 0, 10)).length
      }),
    before
  }
})

describe("the removal of events", () => {
  afterEach(() => void vi.useRealTimers())
  const test = (name: string, run: Effect.Effect<void, unknown, Layer.Layer.Success<ReturnType<typeof world>>>) =>
    it.effect(name, () => {
      vi.useFakeTimers({ toFake: ["Date"] })
      return Effect.provide(run, world({ EVENT_RETENTION: "2h" }))
    })

  test("leaves what a webhook has not delivered, for seven days more", Effect.gen(function*() {
    const { before, leftAfter } = yield* scene
    expect(yield* leftAfter("3 hours")).toBe(before)
    expect(yield* leftAfter(EventRemoval.GRACE)).toBe(0)
  }))

  test("takes what a webhook has delivered", Effect.gen(function*() {
    const { before, cursors, held, leftAfter } = yield* scene
    yield* cursors.advance(held, { sequence: before, number: 0 }, undefined)
    expect(yield* leftAfter("1 hour")).toBe(before)
    expect(yield* leftAfter("2 hours")).toBe(0)
  }))

  test("takes what a disabled webhook has not delivered", Effect.gen(function*() {
    const { before, endpoints, leftAfter } = yield* scene
    const to = { ...endpoint, status: "DISABLED" as const }
    yield* endpoints.change({ ...changeBy(named("ops")), action: "webhook.update", from: endpoint, to })
    expect(yield* leftAfter("1 hour")).toBe(before)
    expect(yield* leftAfter("2 hours")).toBe(0)
  }))
})
