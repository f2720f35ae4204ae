import type { Failure } from "../../api/Failure.ts"
import { failureOf } from "../../api/failureTexts.ts"
import { session } from "../../api/session.svelte.ts"

/** A call that changes something, as a dialog shows it. */
export class Act {
  busy = $state(false)
  failure = $state.raw<Failure>()

  /** Returns the answer; `undefined`: it failed, and `failure` says why. */
  async run<A>(call: () => Promise<A>): Promise<A | undefined> {
    this.busy = true
    this.failure = undefined
    try {
      return await call()
    } catch (cause) {
      this.failure = failureOf(cause)
      if (this.failure.tag === "UNAUTHENTICATED") session.expire()
      return undefined
    } finally {
      this.busy = false
    }
  }
}
