import { pauseMillis } from "../../../src/base/BackoffPause.ts"
import type { Failure } from "./Failure.ts"

/** What keeps a stream open: it is called again whenever it ends, until it is stopped or refused for good. */
export interface Follower {
  /** One connection, until it ends. It says `received` with each message, and resumes by what it has seen itself. */
  readonly connect: (signal: AbortSignal, received: () => void) => Promise<void>
  readonly failureOf: (cause: unknown) => Failure
  /** The connection is there. */
  readonly onLive: () => void
  /** It is gone: with why, if it failed. */
  readonly onLost: (failure: Failure | undefined) => void
  /** It was refused, and will be again: it is not called any more. */
  readonly onRefused: (failure: Failure) => void
  /** A connection that has said nothing for this long is dead. */
  readonly silenceMillis: number
}

const BACKOFF = { firstMillis: 250, lastMillis: 5_000 }

/**
 * A page that is hidden for this long lets go of its streams: a browser has six connections to an origin over HTTP/1.1,
 * for all of its tabs together.
 */
const HIDDEN_MILLIS = 20_000

const isFinal = ({ tag }: Failure): boolean =>
  tag === "UNAUTHENTICATED" || tag === "PERMISSION_DENIED" || tag === "RECORD_NOT_FOUND" || tag === "INVALID_ARGUMENT"

/** A pause that ends early when the page is shown or the network is back. */
const pause = (millis: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener("abort", end)
      removeEventListener("online", end)
      document.removeEventListener("visibilitychange", end)
      resolve()
    }
    const timer = setTimeout(end, millis)
    signal.addEventListener("abort", end)
    addEventListener("online", end)
    document.addEventListener("visibilitychange", end)
  })

/** The pause before a call is repeated. They double, and vary so that pages spread out. */
export const pauseAfter = (failures: number, signal: AbortSignal): Promise<void> =>
  pause(pauseMillis(BACKOFF, failures, Math.random()), signal)

/** Resolves once the page is shown, or `signal` aborts. */
const shown = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const look = () => {
      if (document.visibilityState === "hidden" && !signal.aborted) return
      document.removeEventListener("visibilitychange", look)
      signal.removeEventListener("abort", look)
      resolve()
    }
    document.addEventListener("visibilitychange", look)
    signal.addEventListener("abort", look)
    look()
  })

/** Calls `onHidden` when the page has been hidden for long; the result ends that. */
const whenHidden = (onHidden: () => void): () => void => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const look = () => {
    clearTimeout(timer)
    if (document.visibilityState === "hidden") timer = setTimeout(onHidden, HIDDEN_MILLIS)
  }
  document.addEventListener("visibilitychange", look)
  return () => {
    clearTimeout(timer)
    document.removeEventListener("visibilitychange", look)
  }
}

/** Follows a stream until the result is called. */
export const follow = ({ connect, failureOf, onLive, onLost, onRefused, silenceMillis }: Follower): () => void => {
  const stopped = new AbortController()
  const run = async () => {
    let failures = 0
    while (!stopped.signal.aborted) {
      await shown(stopped.signal)
      const one = new AbortController()
      const stop = () => one.abort()
      stopped.signal.addEventListener("abort", stop)
      const look = whenHidden(stop)
      let silence = setTimeout(stop, silenceMillis)
      const received = () => {
        failures = 0
        clearTimeout(silence)
        silence = setTimeout(stop, silenceMillis)
        onLive()
      }
      let failure: Failure | undefined
      try {
        await connect(one.signal, received)
      } catch (cause) {
        failure = failureOf(cause)
      }
      clearTimeout(silence)
      look()
      stopped.signal.removeEventListener("abort", stop)
      if (stopped.signal.aborted) return
      if (failure !== undefined && isFinal(failure)) return onRefused(failure)
      onLost(failure)
      await pauseAfter(++failures, stopped.signal)
    }
  }
  void run()
  return () => stopped.abort()
}
