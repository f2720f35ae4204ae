import * as Context from "effect/Context"
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/**
 * When this process began to end. All that then waits has this one deadline: bounds of their own would add up to more
 * than SHUTDOWN_TIMEOUT.
 */
export class Shutdown extends Context.Reference<Shutdown>()("coupon/config/Shutdown", {
  defaultValue: (): { beganAt: number | undefined } => ({ beganAt: undefined })
}) {}

/** The process ends from now on. */
export const begin: Effect.Effect<void> = Effect.map(Shutdown, (shutdown) => {
  shutdown.beganAt ??= performance.now()
})

/**
 * For a finalizer: fails with a timeout when `timeout` has passed since the process began to end; where only a scope
 * ends and not the process, since now. A finalizer cannot be interrupted, and a plain timeout there waits for what it
 * should bound; so this is apart from it, and is left to itself after its time.
 */
export const within = (timeout: Duration.Duration) =>
<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | Cause.TimeoutException, R> =>
  Effect.flatMap(Shutdown, ({ beganAt }) => {
    const passed = beganAt === undefined ? 0 : performance.now() - beganAt
    const apart = Effect.interruptible(Effect.disconnect(self))
    return Effect.timeout(apart, Math.max(0, Duration.toMillis(timeout) - passed))
  })
