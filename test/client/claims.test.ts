import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Tracer from "effect/Tracer"
import { it } from "@effect/vitest"
import { describe, expect } from "vitest"
import { CouponClient } from "../../src/client/CouponClient.ts"
import { repetitionOf } from "../../src/client/Repetition.ts"
import { retrying } from "../../src/client/Retry.ts"
import * as RetryBudget from "../../src/client/RetryBudget.ts"
import { DEFAULT_RETRY, DEFAULT_THROTTLING } from "../../src/client/RetryPolicy.ts"
import { resumed } from "../../src/client/Resumption.ts"
import { TimedOut, UnexpectedAnswer, Unreachable } from "../../src/client/ClientFailure.ts"
import type { CallFailure } from "../../src/client/Calls.ts"
import * as Failures from "../../src/domain/Failure.ts"
import { layerMemoryWith, TestService } from "../../src/package/testing.ts"

const OPEN = "2025-06-25T00:00:00Z"
const quick = { ...DEFAULT_RETRY, firstPauseMillis: 1, lastPauseMillis: 1 }
const memory = layerMemoryWith({ retry: quick })

const campaign = (fields: { readonly couponLimit?: bigint; readonly startTime?: string } = {}) =>
  Effect.flatMap(CouponClient, (client) =>
    Effect.map(
      client.createCampaign({ name: "a", couponLimit: 10n, startTime: OPEN, ...fields }),
      ({ campaignId }) => campaignId
    ))

describe("a claim", () => {
  it.live("is a value for whatever the service decides", () =>
    Effect.gen(function*() {
      const client = yield* CouponClient
      const { advance, now } = yield* TestService
      const claim = (campaignId: number, userId: bigint) => client.claim({ campaignId, userId })
      const open = yield* campaign({ couponLimit: 2n })
      const claimed = yield* claim(open, 1n)
      expect(claimed).toMatchObject({ _tag: "Claimed", coupon: { campaignId: open, id: 1, userId: 1n } })
      expect(yield* claim(open, 1n)).toEqual({ ...claimed, _tag: "AlreadyHeld", mayBeNew: false })
      const { campaignId: dated } = yield* client.createCampaign({
        name: "d", couponLimit: 1n, startTime: OPEN, couponValidity: { after: "P30D" }
      })
      const issued = yield* claim(dated, 1n)
      const { coupon } = yield* client.getCoupon({ campaignId: dated, userId: 1n })
      expect(issued).toMatchObject({ _tag: "Claimed", coupon: { expiresAt: Date.parse(coupon!.expiresAt!) } })
      expect(yield* claim(dated, 1n)).toEqual({ ...issued, _tag: "AlreadyHeld", mayBeNew: false })
      yield* client.pauseCampaign({ campaignId: open })
      expect(yield* claim(open, 2n)).toEqual({ _tag: "Paused" })
      yield* client.resumeCampaign({ campaignId: open })
      expect((yield* claim(open, 2n))._tag).toBe("Claimed")
      expect(yield* claim(open, 3n)).toEqual({ _tag: "SoldOut" })
      yield* client.endCampaign({ campaignId: open })
      expect(yield* claim(open, 3n)).toEqual({ _tag: "Ended" })
      const pool = yield* client.createCampaign({ name: "p", couponLimit: 1n, startTime: OPEN, codeSource: 2 })
      expect(yield* claim(pool.campaignId, 1n)).toEqual({ _tag: "CodesExhausted" })
      const noon = yield* campaign({ startTime: new Date((yield* now).getTime() + 60_000).toISOString() })
      expect(yield* claim(noon, 1n)).toEqual({ _tag: "NotStarted" })
      yield* advance("1 minute")
      expect((yield* claim(noon, 1n))._tag).toBe("Claimed")
      expect(yield* Effect.flip(claim(2_000_000_000, 1n))).toMatchObject({ _tag: "RecordNotFound" })
      expect(yield* Effect.flip(claim(open, 0n))).toMatchObject({ _tag: "InvalidArgument", field: "userId" })
    }).pipe(Effect.provide(memory)))

  it.live("is repeated until it is decided, and says when a reply was lost", () =>
    Effect.gen(function*() {
      const client = yield* CouponClient
      const { script } = yield* TestService
      const campaignId = yield* campaign()
      yield* script(
        "issueCoupon",
        "NeverSent",
        new Failures.Overloaded({ retryAfterSeconds: 0 }),
        new Failures.RateLimited({ retryAfterSeconds: 0 }),
        new Failures.Unavailable({ retryAfterSeconds: 0 })
      )
      expect((yield* client.claim({ campaignId, userId: 1n }))._tag).toBe("Claimed")
      yield* script("issueCoupon", "LostReply")
      expect(yield* client.claim({ campaignId, userId: 2n })).toMatchObject({ _tag: "AlreadyHeld", mayBeNew: true })
      yield* script("issueCoupon", new Failures.OutcomeUnknown())
      expect((yield* client.claim({ campaignId, userId: 3n }))._tag).toBe("Claimed")
      const { currentCoupon } = yield* client.getCampaign({ campaignId })
      expect(currentCoupon).toBe(3n)
    }).pipe(Effect.provide(memory)))

  it.live("fails with its last failure when its attempts are spent", () =>
    Effect.gen(function*() {
      const client = yield* CouponClient
      const { script } = yield* TestService
      const campaignId = yield* campaign()
      const failures = Array.from({ length: 9 }, () => new Failures.Unavailable({ retryAfterSeconds: 0 }))
      yield* script("issueCoupon", ...failures)
      expect((yield* Effect.flip(client.claim({ campaignId, userId: 1n })))._tag).toBe("Unavailable")
      // Eight of the nine are used.
      yield* Effect.flip(client.issueCoupon({ campaignId, userId: 1n }))
      expect((yield* client.claim({ campaignId, userId: 1n }))._tag).toBe("Claimed")
    }).pipe(Effect.provide(memory)))
})

describe("retrying", () => {
  it("knows by tag what passes by itself", () => {
    const url = "http://x"
    expect(repetitionOf(new Failures.Overloaded({ retryAfterSeconds: 3 }))).toEqual({
      afterMillis: 3_000,
      mayBeDone: false
    })
    expect(repetitionOf(new Failures.OutcomeUnknown())).toEqual({ afterMillis: 0, mayBeDone: true })
    expect(repetitionOf(new TimedOut({ url, mayBeDone: true }))).toEqual({ afterMillis: 0, mayBeDone: true })
    expect(repetitionOf(new Unreachable({ url, reason: "", mayBeDone: false }))?.mayBeDone).toBe(false)
    expect(repetitionOf(new UnexpectedAnswer({ url, status: 503, text: "" }))?.mayBeDone).toBe(true)
    expect(repetitionOf(new UnexpectedAnswer({ url, status: 404, text: "" }))).toBeUndefined()
    for (const failure of [new Failures.CouponSoldOut(), new Failures.Conflict(), new Failures.RecordNotFound()]) {
      expect(repetitionOf(failure)).toBeUndefined()
    }
  })

  it.effect("waits for Retry-After and a little more, and not beyond its budget", () =>
    Effect.gen(function*() {
      const calls = yield* Ref.make(0)
      const failing = Effect.zipRight(
        Ref.update(calls, (n) => n + 1),
        Effect.fail(new Failures.Overloaded({ retryAfterSeconds: 3 }))
      )
      const fiber = yield* Effect.fork(Effect.flip(retrying(failing)))
      yield* TestClock.adjust("2999 millis")
      expect(yield* Ref.get(calls)).toBe(1)
      yield* TestClock.adjust("101 millis")
      expect(yield* Ref.get(calls)).toBe(2)
      // A fourth call would begin after 9 s and more, a fifth after 12.
      yield* TestClock.adjust("1 minute")
      expect((yield* Fiber.join(fiber))._tag).toBe("Overloaded")
      expect(yield* Ref.get(calls)).toBe(4)
    }))
})

describe("the budget of a client", () => {
  const passing = Exit.fail(new Failures.Overloaded({ retryAfterSeconds: 1 }))

  it("is that of gRPC: half of the tokens, a failure one, any other outcome a part of one", () => {
    const budget = RetryBudget.make({ maxTokens: 10, tokenRatio: 0.5 })
    for (let k = 0; k < 4; k++) budget.note(passing)
    expect(budget.allows()).toBe(true)
    budget.note(passing)
    expect(budget.allows()).toBe(false)
    // What does not pass by itself is an answer; what was interrupted is none.
    budget.note(Exit.interrupt(FiberId.none))
    expect(budget.allows()).toBe(false)
    budget.note(Exit.fail(new Failures.CouponSoldOut()))
    expect(budget.allows()).toBe(true)
    for (let k = 0; k < 100; k++) budget.note(passing)
    for (let k = 0; k < 10; k++) budget.note(Exit.void)
    expect(budget.allows()).toBe(false)
    budget.note(Exit.void)
    expect(budget.allows()).toBe(true)
    for (let k = 0; k < 100; k++) budget.note(Exit.void)
    for (let k = 0; k < 5; k++) budget.note(passing)
    expect(budget.allows()).toBe(false)
  })

  it("refuses terms that gRPC refuses", () => {
    for (const terms of [{ maxTokens: 0 }, { maxTokens: 1_001 }, { tokenRatio: 0 }, { maxTokens: Number.NaN }]) {
      expect(() => RetryBudget.make({ ...DEFAULT_THROTTLING, ...terms })).toThrow(RangeError)
    }
  })

  it.live("is shared by all its calls", () =>
    Effect.gen(function*() {
      const client = yield* CouponClient
      const { script } = yield* TestService
      const campaignId = yield* campaign()
      const claim = (userId: bigint) => client.claim({ campaignId, userId })
      const fail = (count: number) =>
        Array.from({ length: count }, () => new Failures.Unavailable({ retryAfterSeconds: 0 }))
      // Eight attempts would decide it; the fifth failure uses the budget up.
      yield* script("issueCoupon", ...fail(5))
      expect((yield* Effect.flip(claim(1n)))._tag).toBe("Unavailable")
      expect((yield* claim(1n))._tag).toBe("Claimed")
      // Of another call, too, which is not repeated then, and which a claim may not be after it.
      yield* script("listCampaigns", ...fail(1))
      expect((yield* Effect.flip(client.retrying(client.listCampaigns({}))))._tag).toBe("Unavailable")
      yield* script("issueCoupon", ...fail(1))
      expect((yield* Effect.flip(claim(2n)))._tag).toBe("Unavailable")
      // Calls that succeed bring it back.
      for (let k = 0; k < 4; k++) yield* client.getCampaign({ campaignId })
      yield* script("issueCoupon", ...fail(1))
      expect((yield* claim(2n))._tag).toBe("Claimed")
    }).pipe(Effect.provide(
      layerMemoryWith({ retry: quick, retryThrottling: { maxTokens: 10, tokenRatio: 1 } })
    )))
})

describe("streams that go on", () => {
  it.live("follow a campaign's events over calls that fail, each once", () =>
    Effect.gen(function*() {
      const client = yield* CouponClient
      const { script } = yield* TestService
      const campaignId = yield* campaign()
      yield* script("watchCampaign", "NeverSent", new Failures.Unavailable({ retryAfterSeconds: 0 }))
      const fiber = yield* Effect.fork(
        client.events({ campaignId, afterSequence: 0n }).pipe(Stream.take(3), Stream.runCollect)
      )
      yield* client.pauseCampaign({ campaignId })
      yield* client.resumeCampaign({ campaignId })
      const events = Chunk.toReadonlyArray(yield* Fiber.join(fiber))
      expect(events.map(({ sequence, type }) => [sequence, type])).toEqual([
        [1n, "campaign.created"],
        [2n, "campaign.paused"],
        [3n, "campaign.resumed"]
      ])
    }).pipe(Effect.provide(memory)))

  it.live("export every coupon", () =>
    Effect.gen(function*() {
      const client = yield* CouponClient
      const { script } = yield* TestService
      const campaignId = yield* campaign()
      for (const userId of [5n, 6n, 7n]) yield* client.claim({ campaignId, userId })
      yield* script("exportCoupons", "NeverSent")
      const coupons = yield* Stream.runCollect(client.coupons({ campaignId, afterNumber: 1 }))
      expect(Chunk.toReadonlyArray(coupons).map(({ id, userId }) => [id, userId])).toEqual([[2, 6n], [3, 7n]])
    }).pipe(Effect.provide(memory)))

  it.effect("ask for what follows, however often that is, and end with what does not pass", () =>
    Effect.gen(function*() {
      const COUNT = 200
      const asked: Array<number> = []
      let last = 0
      const messages = resumed<number>({
        goesOn: true,
        came: (message) => {
          last = message
        },
        open: () => {
          asked.push(last)
          const failure: CallFailure = last < COUNT
            ? new Failures.Unavailable({ retryAfterSeconds: 0 })
            : new Failures.RecordNotFound()
          return Stream.concat(Stream.make(last + 1), Stream.fail(failure))
        }
      })
      const fiber = yield* Effect.fork(Effect.flip(Stream.runDrain(messages)))
      for (let round = 0; round <= COUNT; round++) yield* TestClock.adjust("5 seconds")
      expect((yield* Fiber.join(fiber))._tag).toBe("RecordNotFound")
      expect(asked).toEqual(Array.from({ length: COUNT + 1 }, (_, k) => k))
    }))
})

describe("telemetry", () => {
  it.live("makes a span of each call that the service continues, and a histogram", () => {
    const spans: Array<Tracer.Span> = []
    const sent: Array<string | null> = []
    const tracer = Tracer.make({
      context: (run) => run(),
      span: (name, parent, context, links, startTime, kind) => {
        const attributes = new Map<string, unknown>()
        const span: Tracer.Span = {
          _tag: "Span",
          name,
          spanId: "0123456789abcdef",
          traceId: "0123456789abcdef0123456789abcdef",
          parent,
          context,
          status: { _tag: "Started", startTime },
          attributes,
          links: [...links],
          sampled: true,
          kind,
          end: () => {},
          attribute: (key, value) => void attributes.set(key, value),
          event: () => {},
          addLinks: () => {}
        }
        spans.push(span)
        return span
      }
    })
    return Effect.gen(function*() {
      const { fromTransport } = yield* Effect.promise(() => import("../../src/client/CouponClient.ts"))
      const { transport } = yield* TestService
      const client = fromTransport({
        ...transport,
        unary: (method, signal, timeout, header, ...rest) => {
          sent.push(new Headers(header).get("traceparent"))
          return transport.unary(method, signal, timeout, header, ...rest)
        }
      }, { url: "http://coupons.example:8080" })
      yield* Effect.withTracer(Effect.flip(client.getCampaign({ campaignId: 9 })), tracer)
      yield* Effect.flip(client.getCampaign({ campaignId: 9 }))
      expect(spans).toHaveLength(1)
      const [span] = spans
      expect([span!.name, span!.kind]).toEqual(["coupon.v1.CouponService/GetCampaign", "client"])
      expect(Object.fromEntries(span!.attributes)).toMatchObject({
        "rpc.system": "connect_rpc",
        "rpc.service": "coupon.v1.CouponService",
        "rpc.method": "GetCampaign",
        "server.address": "coupons.example",
        "server.port": 8080,
        "rpc.connect_rpc.error_code": "not_found",
        "coupon.outcome": "RecordNotFound"
      })
      // A program that does not trace begins no trace at the service either.
      expect(sent).toEqual(["00-0123456789abcdef0123456789abcdef-0123456789abcdef-01", null])
      const histogram = Option.fromNullable((yield* Metric.snapshot).find(({ metricKey }) =>
        metricKey.name === "rpc.client.duration" &&
        metricKey.tags.some(({ key, value }) => key === "server.address" && value === "coupons.example")))
      expect(Option.map(histogram, ({ metricState }) => (metricState as { readonly count?: number }).count))
        .toEqual(Option.some(2))
    }).pipe(Effect.provide(memory))
  })
})
