import type { DescMethod } from "@bufbuild/protobuf"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import * as FailureTable from "../contract/FailureTable.ts"

/** A call's span and duration, named by OpenTelemetry's conventions for RPC. */
export interface CallTelemetry {
  /** Of the span: the full name of the method. */
  readonly name: string
  readonly attributes: Readonly<Record<string, string | number>>
  /** Records how the call ended, `tag` being that of its failure, after so many milliseconds. */
  readonly ended: (tag: string | undefined, millis: number) => Effect.Effect<void>
}

/** The boundaries that OpenTelemetry advises for durations in milliseconds. */
const BOUNDARIES = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000]

const duration = Metric.histogram(
  "rpc.client.duration",
  MetricBoundaries.fromIterable(BOUNDARIES),
  "How long calls took, in milliseconds"
)

/** What clients see without an answer of the service, in Connect's codes. */
const unanswered: Readonly<Record<string, string>> = {
  TimedOut: "deadline_exceeded",
  Unreachable: "unavailable",
  UnexpectedAnswer: "unknown"
}

const snake = (name: string): string => name.replace(/(?!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase()

const codeOf = (tag: string): string =>
  unanswered[tag] ?? snake(FailureTable.entryOf(tag as FailureTable.FailureTag).code)

/** For one method of the service at `url`. */
export const make = (method: DescMethod, url: string): CallTelemetry => {
  const { hostname, port, protocol } = new URL(url)
  const attributes = {
    "rpc.system": "connect_rpc",
    "rpc.service": method.parent.typeName,
    "rpc.method": method.name,
    "server.address": hostname,
    "server.port": port === "" ? protocol === "https:" ? 443 : 80 : Number(port)
  }
  const name = `${method.parent.typeName}/${method.name}`
  const tagged = (pairs: Readonly<Record<string, string | number>>) =>
    Object.entries(pairs).reduce((metric, [key, value]) => Metric.tagged(metric, key, String(value)), duration)
  const ok = tagged(attributes)
  const failed = new Map<string, typeof ok>()
  const metricOf = (tag: string) => {
    let known = failed.get(tag)
    if (known === undefined) {
      known = tagged({ ...attributes, "rpc.connect_rpc.error_code": codeOf(tag), "coupon.outcome": tag })
      failed.set(tag, known)
    }
    return known
  }
  return {
    name,
    attributes,
    ended: (tag, millis) =>
      Effect.zipRight(
        Effect.annotateCurrentSpan(
          tag === undefined
            ? { "coupon.outcome": "OK" }
            : { "coupon.outcome": tag, "rpc.connect_rpc.error_code": codeOf(tag) }
        ),
        Metric.update(tag === undefined ? ok : metricOf(tag), millis)
      )
  }
}

/** The tag of what a call failed with; `undefined`: it succeeded, or was interrupted. */
export const tagOf = (exit: Exit.Exit<unknown, unknown>): string | undefined =>
  Exit.isFailure(exit) && exit.cause._tag === "Fail"
    ? (exit.cause.error as { readonly _tag: string })._tag
    : undefined

/** The tracer of a program that does not trace: its spans end up nowhere. */
const untraced = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/**
 * The header `traceparent`, by which the service continues the caller's trace. Empty if the program does not trace:
 * the service would otherwise record traces that have no beginning.
 */
export const propagation: Effect.Effect<Readonly<Record<string, string>>> = Effect.gen(function*() {
  if ((yield* Effect.tracer) === untraced) return {}
  const span = yield* Effect.option(Effect.currentSpan)
  return Option.match(span, {
    onNone: () => ({}),
    onSome: ({ sampled, spanId, traceId }) => ({ traceparent: `00-${traceId}-${spanId}-${sampled ? "01" : "00"}` })
  })
})
