import { CLIENTS } from "../../rpc/admission/ClientAddress.ts"

/** How much of the event loop each client may take for something, in microseconds. */
export interface ClientBudgets {
  /** The client took so much. */
  readonly charge: (client: number, micros: number) => void
  /** Whether the client has taken all that it may. */
  readonly isSpent: (client: number) => boolean
}

/** `burst` microseconds at once, and after that `perSecond`. */
export const make = (
  { burst, perSecond }: { readonly burst: number; readonly perSecond: number },
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
    charge: (client, micros) => taken[client] = Math.min(look(client) + micros, 2 * burst),
    isSpent: (client) => taken[client]! >= burst && look(client) >= burst
  }
}
