import { networkOf, plain } from "./Address.ts"

/** Places that clients share: the length of every table that is kept of clients, so each table has one size. */
export const CLIENTS = 4_096

/** The client of a connection that is gone. */
export const GONE = 0

/** Differs in each process: no client can choose with which other one it shares a place. */
const [seed] = crypto.getRandomValues(new Uint32Array(1))

/**
 * A client as a number below `CLIENTS`: the one identity by which clients are counted and bounded. One client is an
 * IPv4 address, or the /64 of an IPv6 address; an empty text is `GONE`.
 */
export const of = (address: string): number => {
  if (address === "") return GONE
  const network = networkOf(plain(address))
  let hash = seed!
  for (let i = 0; i < network.length; i++) hash = Math.imul(hash ^ network.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ hash >>> 15, 0x2c1b3c6d)
  return (hash ^ hash >>> 13) & (CLIENTS - 1)
}
