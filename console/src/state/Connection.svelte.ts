import type { Failure } from "../api/Failure.ts"
import { follow, type Follower } from "../api/Reconnecting.ts"
import { failureOf } from "../api/failureTexts.ts"
import { session } from "../api/session.svelte.ts"

export type State = "connecting" | "live" | "lost" | "refused"

/** The state of a stream that a page shows. */
export class Connection {
  state = $state.raw<State>("connecting")
  /** When the last message came, by the local clock; 0: none has. */
  lastAt = $state.raw(0)
  failure = $state.raw<Failure>()
  /** How often it came back after it was lost. */
  returns = $state(0)

  /** Follows a stream; the result ends that. One that has said nothing for `silenceMillis` is dead. */
  follow(connect: Follower["connect"], silenceMillis: number): () => void {
    return follow({
      connect,
      silenceMillis,
      failureOf,
      onLive: () => {
        if (this.state === "lost") this.returns++
        this.state = "live"
        this.lastAt = Date.now()
        this.failure = undefined
      },
      onLost: (failure) => {
        // A stream that ended as streams do is called again at once: that is no loss.
        if (failure === undefined && this.state === "live") return
        this.state = failure === undefined && this.lastAt === 0 ? "connecting" : "lost"
        this.failure = failure
      },
      onRefused: (failure) => {
        this.state = "refused"
        this.failure = failure
        if (failure.tag === "UNAUTHENTICATED") session.expire()
      }
    })
  }
}
