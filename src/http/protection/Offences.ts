import type { Socket } from "node:net"
import { protections } from "../../metrics/ProtectionMetrics.ts"
import { CLIENTS } from "../../rpc/admission/ClientAddress.ts"

/** Connections that had to be cut, by client: what a client wasted in one of them must not be had again in the next. */
export interface Offences {
  /** A connection was cut for what its client did. */
  readonly add: (socket: Socket) => void
  /** The client wasted so much that its next connections are closed, for 8 s. */
  readonly bar: (socket: Socket) => void
  /** Whether the client's new connections are closed at once. Counts those. `undefined`: a trusted proxy. */
  readonly bars: (client: number | undefined) => boolean
}

/** Cuts that a client may cause at once: several users behind one address may have a program that misbehaves. */
const BURST = 16

/** And per second after that. A cut has cost the event loop up to 20 ms, for what one read of the socket brought. */
const PER_SECOND = 2

/** `clientOf`: as `ClientAddresses.ofSocket`; a trusted proxy's connections are never barred. */
export const make = (
  clientOf: (socket: Socket) => number | undefined,
  now: () => number = () => performance.now()
): Offences => {
  const spent = new Float64Array(CLIENTS)
  const at = new Float64Array(CLIENTS)
  const look = (client: number) => {
    const time = now()
    spent[client] = Math.max(0, spent[client]! - (time - at[client]!) / 1_000 * PER_SECOND)
    at[client] = time
    return spent[client]!
  }
  const charge = (socket: Socket, cuts: number) => {
    const client = clientOf(socket)
    if (client !== undefined) spent[client] = Math.min(look(client) + cuts, 2 * BURST)
  }
  return {
    add: (socket) => charge(socket, 1),
    bar: (socket) => charge(socket, 2 * BURST),
    bars: (client) => {
      if (client === undefined || spent[client]! < BURST || look(client) < BURST) return false
      protections.barred.add()
      return true
    }
  }
}
