import type { BlockList } from "node:net"
import { CLIENTS } from "../../base/Clients.ts"
import { Overloaded } from "../../domain/Failure.ts"
import * as RequestMetrics from "../../metrics/RequestMetrics.ts"
import * as ClientAddress from "./ClientAddress.ts"
import * as LatencyLimit from "./LatencyLimit.ts"
import * as PacedRejections from "./PacedRejections.ts"

/**
 * Decides which public calls begin, before they take any resource. Costs 0.1 µs a call. Calls of administration,
 * health, metrics and the operator plane do not pass here.
 */
export interface Admission {
  readonly clients: ClientAddress.ClientAddresses
  readonly admits: (client: number) => boolean
  readonly began: (client: number) => void
  /** `startedAt` and `now` in milliseconds of `performance.now()`; `undefined`: how long it took does not count. */
  readonly ended: (client: number, startedAt: number | undefined, now: number) => void
  /** Calls `answer` with the failure, perhaps later; it must not throw. */
  readonly reject: (answer: (failure: Overloaded) => void) => void
  readonly limit: () => number
}

/**
 * How many times the free places a client may hold ("dynamic thresholds", Choudhury and Hahne, 1998): alone 8/9 of all,
 * two greedy ones 8/17 each. A new client always finds a place, and no share has to be configured.
 */
const GREED = 8

/** Longest advice, in seconds. */
const LONGEST_ADVICE = 10

export const make = (options: {
  /** Calls in progress, at most. */
  readonly most: number
  /** The latency beyond which calls are rejected. */
  readonly targetMillis: number
  /** Proxies whose X-Forwarded-For is believed. */
  readonly trusted: BlockList
}): Admission => {
  const rejections = PacedRejections.make()
  RequestMetrics.admissionLimit.set(options.most)
  const limit = LatencyLimit.make({
    ...options,
    looked: (current) => {
      RequestMetrics.admissionLimit.set(current)
      RequestMetrics.rejectionsHeld.set(rejections.held())
    }
  })
  const own = new Int32Array(CLIENTS)
  // Made once: an error takes its stack trace when it is made, and its answer is kept by the catalog.
  const advice = Array.from({ length: LONGEST_ADVICE }, (_, i) => new Overloaded({ retryAfterSeconds: i + 1 }))
  let inFlight = 0
  /** Clients with a call in progress. */
  let active = 0

  /**
   * Whether a client has less than its even share. Such a client finds a place also when a limit that fell is below
   * what is in progress: otherwise one that floods takes the places of all others until its calls have ended.
   */
  const isModest = (client: number) =>
    inFlight < options.most && (own[client]! + 1) * (active + 1) <= limit.current()

  /** The more are rejected, the later they should come back, and not all at once. */
  const advise = () => {
    const pressure = limit.pressure()
    return advice[pressure === 0 ? 0 : Math.floor(Math.random() * Math.min(LONGEST_ADVICE, 2 + pressure))]!
  }

  return {
    clients: ClientAddress.make(options.trusted),
    admits: (client) => {
      const free = limit.current() - inFlight
      return (free > 0 && own[client]! <= GREED * free) || isModest(client)
    },
    began: (client) => {
      inFlight++
      if (own[client]!++ === 0) active++
    },
    ended: (client, startedAt, now) => {
      inFlight--
      if (--own[client]! === 0) active--
      rejections.served()
      if (startedAt !== undefined) limit.ended(now - startedAt, now)
    },
    reject: (answer) => {
      limit.refused()
      const failure = advise()
      rejections.reject(() => answer(failure))
    },
    limit: limit.current
  }
}
