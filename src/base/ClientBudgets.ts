import { CLIENTS } from "./Clients.ts"
import type { Rate } from "./TokenBucket.ts"

/** How much of something each client may take: of the event loop's time, of cuts, of wrong credentials. */
export interface ClientBudgets {
  /** The client took so much. */
  readonly charge: (client: number, amount: number) => void
  /** Whether the client has taken all that it may. */
  readonly isSpent: (client: number) => boolean
  /** 0 while the client may take one more; otherwise the seconds until it may. */
  readonly wait: (client: number) => number
}

/** `burst` at once, and after that `perSecond`; in the same unit. `now`: milliseconds that never go back. */
export const make = (
  { burst, perSecond }: Rate,
  now: () => number = () => performance.now()
): ClientBudgets => {
  const taken = new Float64Array(CLIENTS)
  const at = new Float64Array(CLIENTS)
  const look = (client: number) => {
    const time = now()
    taken[client] = Math.max(0, taken[client]! - (time - at[client]!) / 1_000 * perSecond)
    at[client] = time
    return taken[client]!
  }
  return {
    // Never far beyond the burst, so that a client that goes on is let in again before long.
    charge: (client, amount) => taken[client] = Math.min(look(client) + amount, 2 * burst),
    isSpent: (client) => taken[client]! >= burst && look(client) >= burst,
    wait: (client) => {
      const beyond = taken[client] === 0 ? 0 : look(client) + 1 - burst
      return beyond <= 0 ? 0 : beyond / perSecond
    }
  }
}
