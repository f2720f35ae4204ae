import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Tracer from "effect/Tracer"
import * as TokenBucket from "../base/TokenBucket.ts"
import { AppConfig } from "../config/AppConfig.ts"
import type { CampaignId } from "../domain/Campaign.ts"
import type { UserId } from "../domain/Coupon.ts"
import { parseTraceparent, RequestTracing } from "../ports/RequestTracing.ts"
import * as TracedClaims from "../claim/TracedClaims.ts"

/** The tracer and its clock, for spans that are made by hand. Absent unless traces are exported. */
export class SpanRecorder extends Context.Tag("coupon/telemetry/SpanRecorder")<SpanRecorder, {
  readonly tracer: Tracer.Tracer
  readonly nanos: () => bigint
}>() {}

/** A span that is not recorded. */
const unrecorded = (
  name: string,
  parent: Option.Option<Tracer.AnySpan>,
  context: Context.Context<never>,
  kind: Tracer.SpanKind
): Tracer.Span => ({
  _tag: "Span",
  name,
  spanId: "noop",
  traceId: "noop",
  parent,
  context,
  status: { _tag: "Started", startTime: 0n },
  attributes: new Map(),
  links: [],
  sampled: false,
  kind,
  end: () => {},
  attribute: () => {},
  event: () => {},
  addLinks: () => {}
})

/**
 * Records spans below a recorded one and no others: the libraries' spans of agents, ten polls a second, belong to no
 * request. `begin` and batches make the root spans by hand.
 */
const belowRecorded = (inner: Tracer.Tracer): Tracer.Tracer =>
  Tracer.make({
    span: (name, parent, context, links, startTime, kind, options) =>
      Option.isSome(parent) && parent.value.sampled
        ? inner.span(name, parent, context, links, startTime, kind, options)
        : unrecorded(name, parent, context, kind),
    context: (f) => f()
  })

/** What `RequestTracing` is while traces are exported. */
export const makeRequests = (
  tracer: Tracer.Tracer,
  nanos: () => bigint,
  options: { readonly ratio: number; readonly perSecond: number }
): RequestTracing["Type"] => {
  // A caller that marks every request as sampled cannot make the service trace them all.
  const rate = { perSecond: options.perSecond, burst: options.perSecond }
  const budget = TokenBucket.make(rate, performance.now())
  const none = Context.empty()
  return {
    begin: (rpc, input, traceparent, service) => {
      // The caller's decision stands; without one, chance decides.
      const parent = traceparent === undefined ? undefined : parseTraceparent(traceparent)
      if (parent === undefined ? Math.random() >= options.ratio : !parent.sampled) return undefined
      if (TokenBucket.take(budget, rate, performance.now()) > 0) return undefined
      const span = tracer.span(rpc, Option.fromNullable(parent), none, [], nanos(), "server")
      span.attribute("rpc.system", "connect_rpc")
      span.attribute("rpc.service", service)
      span.attribute("rpc.method", rpc)
      const { campaignId, userId } = input as { readonly campaignId?: CampaignId; readonly userId?: UserId }
      if (campaignId !== undefined) span.attribute("coupon.campaign_id", campaignId)
      const leave = rpc === "IssueCoupon" && campaignId !== undefined && userId !== undefined
        ? TracedClaims.enter(campaignId, userId, span)
        : undefined
      return {
        span,
        end: (outcome, exit) => {
          leave?.()
          span.attribute("coupon.outcome", outcome ?? "defect")
          span.end(nanos(), exit)
        }
      }
    }
  }
}

/**
 * Traces and metrics by OTLP when OTEL_EXPORTER_OTLP_ENDPOINT is set. Only then is the exporter loaded (27 MB, 0.2 s).
 * Without it Effect makes no spans at all.
 */
export const layer: Layer.Layer<never, never, AppConfig> = Layer.unwrapScoped(Effect.gen(function*() {
  const config = yield* AppConfig
  if (Option.isNone(config.otlpEndpoint)) return Layer.setTracerEnabled(false)
  const endpoint = Redacted.value(config.otlpEndpoint.value)
  const { make } = yield* Effect.promise(() => import("./Otlp.ts"))
  const tracer = yield* make(config, endpoint)
  const clock = yield* Effect.clockWith(Effect.succeed<Clock.Clock>)
  const nanos = () => clock.unsafeCurrentTimeNanos()
  yield* Effect.logInfo(`traces and metrics go to ${new URL(endpoint).host} by OTLP`)
  return Layer.mergeAll(
    Layer.setTracer(belowRecorded(tracer)),
    Layer.succeed(
      RequestTracing,
      makeRequests(tracer, nanos, { ratio: config.traceRatio, perSecond: config.tracesPerSecond })
    ),
    Layer.succeed(SpanRecorder, { tracer, nanos })
  )
}))
