import type { Socket } from "node:net"
import * as ClientBudgets from "../../base/ClientBudgets.ts"
import { protections } from "../../metrics/ProtectionMetrics.ts"

/** Connections that had to be cut, by client: what a client wasted in one of them must not be had again in the next. */
export interface Offences {
  /** A connection was cut for what its client did. */
  readonly add: (socket: Socket) => void
  /** The client wasted so much that its next connections are closed, for 8 s. */
  readonly bar: (socket: Socket) => void
  /** Whether the client's new connections are closed at once. Counts those. `undefined`: a trusted proxy. */
  readonly bars: (client: number | undefined) => boolean
}

/**
 * Cuts that a client may cause at once, since several users behind one address may have a program that misbehaves, and
 * a second. A cut has cost the event loop up to 20 ms, for what one read of the socket brought.
 */
const CUTS = { burst: 16, perSecond: 2 }

/** `clientOf`: as `ClientAddresses.ofSocket`; a trusted proxy's connections are never barred. */
export const make = (
  clientOf: (socket: Socket) => number | undefined,
  now: () => number = () => performance.now()
): Offences => {
  const budgets = ClientBudgets.make(CUTS, now)
  const charge = (socket: Socket, cuts: number) => {
    const client = clientOf(socket)
    if (client !== undefined) budgets.charge(client, cuts)
  }
  return {
    add: (socket) => charge(socket, 1),
    bar: (socket) => charge(socket, 2 * CUTS.burst),
    bars: (client) => {
      if (client === undefined || !budgets.isSpent(client)) return false
      protections.barred.add()
      return true
    }
  }
}
