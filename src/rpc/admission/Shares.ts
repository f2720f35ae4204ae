import { CLIENTS } from "../../base/Clients.ts"

/** Something of which there is so much in all and which clients hold: bytes, streams, calls without an end. */
export interface Shares {
  /** Takes so much more for a client; `false`: nothing was taken, for the client or all clients have too much. */
  readonly take: (client: number, amount: number) => boolean
  /** Gives back what was taken. */
  readonly give: (client: number, amount: number) => void
  readonly total: () => number
}

/**
 * Of `most` in all, a client holds at most as much as is free: alone half of it, and of two greedy ones a third each.
 * So a modest client always finds some.
 */
export const make = (most: number): Shares => {
  const own = new Float64Array(CLIENTS)
  let total = 0
  return {
    take: (client, amount) => {
      if (own[client]! + amount > most - total - amount) return false
      own[client]! += amount
      total += amount
      return true
    },
    give: (client, amount) => {
      own[client]! -= amount
      total -= amount
    },
    total: () => total
  }
}
