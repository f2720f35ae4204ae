import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { protections } from "../metrics/ProtectionMetrics.ts"

/** The least time between two lines. */
const PAUSE_MILLIS = 60_000

const LOOK_MILLIS = 1_000

/**
 * What was counted since the last line, by reason; `undefined`: nothing, or the last line is less than a minute old.
 * There is one line for all reasons and clients.
 */
export const make = (now: () => number = () => performance.now()) => {
  const seen = Object.values(protections).map(({ value }) => value())
  const names = Object.keys(protections)
  let at = Number.NEGATIVE_INFINITY
  return (): Readonly<Record<string, number>> | undefined => {
    if (now() - at < PAUSE_MILLIS) return undefined
    const more = Object.values(protections).map(({ value }, i) => value() - seen[i]!)
    if (!more.some((count) => count > 0)) return undefined
    at = now()
    for (let i = 0; i < more.length; i++) seen[i]! += more[i]!
    return Object.fromEntries(names.flatMap((name, i) => more[i]! > 0 ? [[name, more[i]!] as const] : []))
  }
}

/** A line a minute while requests, streams or connections are refused to protect other clients. */
export const layer: Layer.Layer<never> = Layer.scopedDiscard(Effect.gen(function*() {
  const counts = make()
  const look = Effect.suspend(() => {
    const found = counts()
    return found === undefined ? Effect.void : Effect.annotateLogs(
      Effect.logWarning("requests or connections were refused or cut to protect other clients (SECURITY.md, Limits)"),
      found
    )
  })
  yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Effect.sleep(LOOK_MILLIS), look)))
}))
