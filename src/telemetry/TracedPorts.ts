import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { Gate } from "../ports/Gate.ts"
import { Ledger } from "../ports/Ledger.ts"
import { Outbox } from "../ports/Outbox.ts"
import * as TracedClaims from "../claim/TracedClaims.ts"
import { SpanRecorder } from "./Tracing.ts"

const none = Context.empty()

/** Traced claims of a batch whose spans are linked to the batch's. */
const MAX_LINKS = 32

const ending = <A, E, R>(
  recorder: SpanRecorder["Type"],
  spans: ReadonlyArray<Tracer.Span>,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.onExit(effect, (exit) =>
    Effect.sync(() => {
      const at = recorder.nanos()
      // A span does not need the value, which may be large.
      const end = Exit.isSuccess(exit) ? Exit.void : exit
      for (const span of spans) span.end(at, end)
    }))

/** A step of each traced claim, in its own trace. */
const steps = (
  { nanos, tracer }: SpanRecorder["Type"],
  name: string,
  parents: ReadonlyArray<Tracer.Span>,
  attributes: Readonly<Record<string, unknown>>,
  links: ReadonlyArray<Tracer.SpanLink> = []
): ReadonlyArray<Tracer.Span> => {
  const at = nanos()
  return parents.map((parent) => {
    const span = tracer.span(name, Option.some(parent), none, [...links], at, "internal")
    for (const [key, value] of Object.entries(attributes)) span.attribute(key, value)
    return span
  })
}

const tracedGate = (gate: Gate["Type"], recorder: SpanRecorder["Type"]): Gate["Type"] => ({
  ...gate,
  reserve: (campaignId, requests) =>
    Effect.suspend(() => {
      const parents = TracedClaims.spansOf(campaignId, requests)
      if (parents.length === 0) return gate.reserve(campaignId, requests)
      const spans = steps(recorder, "gate.reserve", parents, { "coupon.batch_size": requests.length })
      return ending(recorder, spans, gate.reserve(campaignId, requests))
    })
})

/**
 * The span of the batch begins a trace of its own. Its ids follow from the batch's, so that a relay which reads that id
 * in the outbox knows the parent of its span. Links lead from each claim's step to it, and from it to each claim.
 */
const tracedLedger = (ledger: Ledger["Type"], recorder: SpanRecorder["Type"]): Ledger["Type"] => ({
  ...ledger,
  issue: (batch) =>
    Effect.suspend(() => {
      const trace = TracedClaims.traceOf(batch.batchId)
      if (trace === undefined) return ledger.issue(batch)
      const parents = TracedClaims.spansOf(batch.campaignId, batch.claims).slice(0, MAX_LINKS)
      if (parents.length === 0) return ledger.issue(batch)
      const toClaims = parents.map((span): Tracer.SpanLink => ({ _tag: "SpanLink", span, attributes: {} }))
      const span = recorder.tracer.span("ledger.batch", Option.none(), none, toClaims, recorder.nanos(), "producer")
      // The tracer accepts no ids, it draws them at random. Its spans read them when they are exported.
      Object.assign(span, trace)
      const attributes = {
        "coupon.campaign_id": batch.campaignId,
        "coupon.batch_id": batch.batchId,
        "coupon.batch_size": batch.claims.length
      }
      for (const [key, value] of Object.entries(attributes)) span.attribute(key, value)
      const toBatch: Tracer.SpanLink = { _tag: "SpanLink", span, attributes: {} }
      const children = steps(recorder, "ledger.commit", parents, attributes, [toBatch])
      return ending(recorder, [...children, span], Effect.withParentSpan(ledger.issue(batch), span))
    })
})

const tracedOutbox = (outbox: Outbox["Type"], recorder: SpanRecorder["Type"]): Outbox["Type"] => ({
  ...outbox,
  poll: (limit, publish, except) =>
    outbox.poll(limit, (events) => {
      const spans = events.flatMap((event) => {
        const trace = event._tag === "Issued" ? TracedClaims.traceOf(event.id) : undefined
        if (trace === undefined) return []
        const parent = Tracer.externalSpan({ ...trace, sampled: true })
        const span = recorder.tracer.span("outbox.publish", Option.some(parent), none, [], recorder.nanos(), "consumer")
        span.attribute("coupon.campaign_id", event.campaignId)
        span.attribute("coupon.batch_id", event.id)
        return [span]
      })
      return spans.length === 0 ? publish(events) : ending(recorder, spans, publish(events))
    }, except)
})

/** Puts spans of traced claims and their batches around Gate, Ledger and Outbox. Changes nothing without tracing. */
export const layer: Layer.Layer<Gate | Ledger | Outbox, never, Gate | Ledger | Outbox> = Layer.effectContext(
  Effect.gen(function*() {
    const [gate, ledger, outbox] = yield* Effect.all([Gate, Ledger, Outbox])
    const recorder = yield* Effect.serviceOption(SpanRecorder)
    return Option.match(recorder, {
      onNone: () => Context.make(Gate, gate).pipe(Context.add(Ledger, ledger), Context.add(Outbox, outbox)),
      onSome: (of) =>
        Context.make(Gate, tracedGate(gate, of)).pipe(
          Context.add(Ledger, tracedLedger(ledger, of)),
          Context.add(Outbox, tracedOutbox(outbox, of))
        )
    })
  })
)
