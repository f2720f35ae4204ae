import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { Unavailable } from "../../domain/Failure.ts"
import type { Principal } from "../../domain/Principal.ts"
import type { Role } from "../../domain/Role.ts"
import type { Caller, Guard, Rejection } from "../../security/Guard.ts"

/** How often rights are looked at again. Keys are at most 7 s old then, of the 10 that a revocation may take. */
const PERIOD_MILLIS = 1_000

/** What the call returned, it returned by other limits. Another call is answered by those that are in effect. */
export const limitedAnew = new Unavailable({ retryAfterSeconds: 1 })

/** Looks again, for as long as a call lasts, whether its caller may make it. */
export interface Rechecks {
  /**
   * Until the scope closes, or a look fails, which `end` is given. Calls whose look cannot differ have the same `key`:
   * one of them is looked at for all.
   */
  readonly add: (
    key: string,
    look: Effect.Effect<unknown, Rejection>,
    end: (failure: Rejection) => void
  ) => Effect.Effect<void, never, Scope.Scope>
}

/** A caller that the guard has admitted as `principal`. */
export interface Admitted {
  readonly guard: Pick<Guard["Type"], "recheck">
  readonly caller: Caller
  readonly access: Role
  readonly principal: Principal
}

/** As `add`, for a caller whom the guard has admitted. Other limits end its call, too, with `limitedAnew`. */
export const addCaller = (
  rechecks: Rechecks,
  { access, caller, guard, principal }: Admitted,
  end: (failure: Rejection) => void
): Effect.Effect<void, never, Scope.Scope> => {
  const { authorization, source, touches } = caller
  // All that the guard looks at.
  const key = JSON.stringify([authorization, source.address(), touches, access, principal.limitsVersion])
  const look = Effect.filterOrFail(guard.recheck(caller, access, principal), (isSame) => isSame, () => limitedAnew)
  return rechecks.add(key, look, end)
}

/** As `addCaller`: fails once the caller may not make the call any more, or has other limits; never succeeds. */
export const whileAdmitted = (rechecks: Rechecks, admitted: Admitted): Effect.Effect<never, Rejection> =>
  Effect.scoped(Effect.gen(function*() {
    const lost = yield* Deferred.make<never, Rejection>()
    yield* addCaller(rechecks, admitted, (failure) => Deferred.unsafeDone(lost, Effect.fail(failure)))
    return yield* Deferred.await(lost)
  }))

interface Looked {
  readonly look: Effect.Effect<unknown, Rejection>
  readonly ends: Set<(failure: Rejection) => void>
}

/** One timer and one fiber look at all calls: a thousand of each would take the time of claims. */
export const make: Effect.Effect<Rechecks> = Effect.gen(function*() {
  const runFork = Runtime.runFork(yield* Effect.runtime<never>())
  const calls = new Map<string, Looked>()
  let timer: NodeJS.Timeout | undefined
  let isLooking = false

  const again = ([key, looked]: readonly [string, Looked]) =>
    Effect.matchCause(looked.look, {
      onSuccess: () => undefined,
      onFailure: (cause) => {
        // A defect is no reason to end a call.
        if (cause._tag !== "Fail") return
        if (calls.get(key) === looked) calls.delete(key)
        for (const end of looked.ends) end(cause.error)
      }
    })
  const all = Effect.suspend(() => Effect.forEach([...calls], again, { discard: true }))
  const start = () => {
    timer ??= setInterval(() => {
      // The last one may wait for a store.
      if (isLooking) return
      isLooking = true
      runFork(Effect.ensuring(all, Effect.sync(() => void (isLooking = false))))
    }, PERIOD_MILLIS).unref()
  }
  const stop = () => {
    if (calls.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  return {
    add: (key, look, end) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => {
          const known = calls.get(key)
          const looked = known ?? { look, ends: new Set() }
          if (known === undefined) calls.set(key, looked)
          looked.ends.add(end)
          start()
          return looked
        }),
        (looked) =>
          Effect.sync(() => {
            looked.ends.delete(end)
            if (looked.ends.size === 0 && calls.get(key) === looked) calls.delete(key)
            stop()
          })
      ))
  }
})
