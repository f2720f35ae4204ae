import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import { isHttpClientError } from "@effect/platform/HttpClientError"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as OtlpMetrics from "../metrics/OtlpMetrics.ts"
import { rootMessage } from "../base/RootMessage.ts"

/** How an exporter treats its collector. */
export interface Patience {
  /** For one export, with its retries. */
  readonly deadline: Duration.Duration
  /** After an export that failed: until then everything is dropped, and the collector is left alone. */
  readonly pause: Duration.Duration
  /** Between the tries of one export. */
  readonly retry: Duration.Duration
  /** Spans that may wait for their export or be under way; further ones are dropped. */
  readonly maxWaitingSpans: number
}

export const patient: Patience = {
  // OpenTelemetry's own.
  deadline: Duration.seconds(10),
  pause: Duration.seconds(30),
  retry: Duration.seconds(1),
  // 10 to 20 MB.
  maxWaitingSpans: 10_000
}

const RETRIES = 3

/** What leaves for a collector as one signal. */
export interface OtlpExports {
  /**
   * For the exporter of the signal. Sends one request at a time, ends it at the deadline, and never fails, because the
   * exporter would then drop spans without counting them, and sends side by side what it has no answer to.
   */
  readonly client: HttpClient.HttpClient
  /** The body to send, of so many spans. Never throws. */
  readonly encode: (count: number, body: () => HttpBody.HttpBody) => HttpBody.HttpBody
  /** Takes the span if there is room for it: `push` hands it to the exporter. Never throws. */
  readonly offer: (push: () => void) => void
}

const reasonOf = (error: unknown, { deadline }: Patience): string => {
  if (Cause.isTimeoutException(error)) return `no answer within ${Duration.format(deadline)}`
  if (isHttpClientError(error) && error._tag === "ResponseError") return `answered ${error.response.status}`
  return rootMessage(error)
}

export const make = (
  signal: keyof typeof OtlpMetrics.otlpExports,
  collector: string,
  patience: Patience
): Effect.Effect<OtlpExports, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const tried = HttpClient.filterStatusOk(yield* HttpClient.HttpClient).pipe(
      HttpClient.retryTransient({ schedule: Schedule.spaced(patience.retry), times: RETRIES })
    )
    const oneAtATime = yield* Effect.makeSemaphore(1)
    const pauseMillis = Duration.toMillis(patience.pause)
    const spansIn = new WeakMap<HttpBody.HttpBody, number>()
    let waiting = 0
    let pausedUntil = -Infinity
    let droppedSince: number | undefined

    const drop = (count: number) => {
      OtlpMetrics.otlpSpans.dropped.add(count)
      if (droppedSince !== undefined) droppedSince += count
    }
    const isPaused = () => performance.now() < pausedUntil

    const succeeded = (count: number) =>
      Effect.suspend(() => {
        waiting -= count
        OtlpMetrics.otlpSpans.sent.add(count)
        OtlpMetrics.otlpExports[signal].sent.add()
        if (droppedSince === undefined) return Effect.void
        const dropped = signal === "traces" ? `; ${droppedSince} spans were dropped` : ""
        droppedSince = undefined
        return Effect.logInfo(`the OTLP collector at ${collector} takes ${signal} again${dropped}`)
      })
    const failed = (count: number, reason: string) =>
      Effect.suspend(() => {
        waiting -= count
        pausedUntil = performance.now() + pauseMillis
        OtlpMetrics.otlpExports[signal].failed.add()
        const isNew = droppedSince === undefined
        droppedSince ??= 0
        drop(count)
        if (!isNew) return Effect.void
        return Effect.logWarning(
          `the OTLP collector at ${collector} does not take ${signal}: ${reason}; they are dropped, ` +
            `and it is tried again each ${Duration.format(patience.pause)}`
        )
      })

    const client = HttpClient.make((request) => {
      const count = spansIn.get(request.body)
      const done = HttpClientResponse.fromWeb(request, new Response(null, { status: 204 }))
      if (count === undefined) return Effect.succeed(done)
      const sent = tried.execute(request).pipe(
        // To its end, or the connection could not be used again.
        Effect.flatMap((response) => response.arrayBuffer),
        Effect.timeout(patience.deadline),
        Effect.matchCauseEffect({
          onSuccess: () => succeeded(count),
          onFailure: (cause) =>
            // The service stops.
            Cause.isInterrupted(cause) ? Effect.interrupt : failed(count, reasonOf(Cause.squash(cause), patience))
        })
      )
      const skipped = Effect.sync(() => {
        waiting -= count
        drop(count)
      })
      return oneAtATime.withPermits(1)(Effect.suspend(() => isPaused() ? skipped : sent)).pipe(Effect.as(done))
    })

    return {
      client,
      encode: (count, body) => {
        try {
          const encoded = body()
          spansIn.set(encoded, count)
          return encoded
        } catch {
          waiting -= count
          drop(count)
          return HttpBody.empty
        }
      },
      offer: (push) => {
        if (waiting >= patience.maxWaitingSpans || isPaused()) return drop(1)
        // First: `push` may begin an export.
        waiting++
        try {
          push()
        } catch {
          waiting--
          drop(1)
        }
      }
    }
  })
