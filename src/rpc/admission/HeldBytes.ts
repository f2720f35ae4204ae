import * as Metrics from "../../metrics/Metrics.ts"
import * as RequestMetrics from "../../metrics/RequestMetrics.ts"
import { CLIENTS } from "./ClientAddress.ts"

/** Bytes that are held for clients: bodies without their end, and large answers that are not read yet. */
export interface HeldBytes {
  /** Holds so many bytes more for a client; `false`: nothing was taken, for the client or all clients have too many. */
  readonly take: (client: number, bytes: number) => boolean
  /** Gives back what was taken. */
  readonly give: (client: number, bytes: number) => void
  readonly total: () => number
}

/**
 * Of `most` bytes in all, a client holds at most as many as are free: alone half of them, and of two greedy ones a
 * third each. So a modest client always finds some.
 */
export const make = (most: number): HeldBytes => {
  const own = new Float64Array(CLIENTS)
  let total = 0
  return {
    take: (client, bytes) => {
      if (own[client]! + bytes > most - total - bytes) return false
      own[client]! += bytes
      total += bytes
      return true
    },
    give: (client, bytes) => {
      own[client]! -= bytes
      total -= bytes
    },
    total: () => total
  }
}

/** Shows in the metrics what is held; the result ends that. */
export const measure = (held: HeldBytes): () => void =>
  Metrics.onSample(() => RequestMetrics.heldBytes.set(held.total()))
