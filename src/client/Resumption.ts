import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Backoff from "../base/Backoff.ts"
import type { CallFailure } from "./Calls.ts"
import { repetitionOf } from "./Repetition.ts"

/** Before a stream is asked for again: 100 ms doubling to 5 s. */
const again = Backoff.make({ firstMillis: 100, lastMillis: 5_000 })

/** What a stream of the service is, for `resumed`. */
export interface Resumable<A> {
  /** Asks for what follows the messages that came. */
  readonly open: () => Stream.Stream<A, CallFailure>
  /** A message has come. */
  readonly came: (message: A) => void
  /** Whether the service has more to send when it ends the stream. */
  readonly goesOn: boolean
}

/** The stream was ended by the service, and goes on elsewhere. */
const ended = { _tag: "StreamEnded" } as const

/**
 * One stream made of as many calls as it takes: a call that fails with what passes by itself is followed by another
 * one, at whichever instance, that continues where it ended. Fails with anything else.
 */
export const resumed = <A>({ came, goesOn, open }: Resumable<A>): Stream.Stream<A, CallFailure> => {
  const from = (failures: number): Stream.Stream<A, CallFailure> =>
    Stream.suspend(() => {
      let inARow = failures
      const messages = Stream.map(open(), (message) => {
        inARow = 0
        came(message)
        return message
      })
      const whole: Stream.Stream<A, CallFailure | typeof ended> = goesOn
        ? Stream.concat(messages, Stream.fail(ended))
        : messages
      return Stream.catchAll(whole, (failure) => {
        if (failure._tag !== "StreamEnded" && repetitionOf(failure) === undefined) return Stream.fail(failure)
        const after = failure._tag === "StreamEnded" ? 0 : repetitionOf(failure)!.afterMillis
        inARow++
        return Stream.concat(Stream.execute(Effect.sleep(Math.max(after, again(inARow)))), from(inARow))
      })
    })
  return from(0)
}
