import * as Effect from "effect/Effect"
import { isIPv6, type LookupFunction } from "node:net"
import type { Pool } from "undici"

/** A pool of connections that go to one checked address. */
export interface Connection {
  readonly pool: Pool
  /** The next request goes to another address of the host, if it has several. */
  readonly failed: () => void
}

/** Pools that are kept open while they are not used. */
const MAX_POOLS = 256
const CONNECTIONS = 32
const KEEP_ALIVE_MILLIS = 30_000
const CONNECT_MILLIS = 10_000
/** Longer than a request may take, which ends it earlier. */
const LONGEST_MILLIS = 20_000

interface Kept {
  readonly address: string
  readonly pool: Pool
  /** A request failed on it: the next one goes to another address of the host. */
  hasFailed: boolean
}

/** Answers every look-up with the address that was checked: the name is not resolved a second time. */
const pinned = (address: string): LookupFunction => (_, options, callback) => {
  const family = isIPv6(address) ? 6 : 4
  if (options.all === true) callback(null, [{ address, family }])
  else callback(null, address, family)
}

/** Connections to receivers, kept alive. Ends with the scope. */
export const make = Effect.gen(function*() {
  const pools = new Map<string, Kept>()

  // Requests under way on it may end.
  const leave = ({ pool }: Kept) => void pool.close().catch(() => {})

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => pools.forEach(({ pool }) => void pool.destroy().catch(() => {}))))

  const keep = (origin: string, kept: Kept): Connection => {
    pools.delete(origin)
    pools.set(origin, kept)
    const [oldest] = pools
    if (pools.size > MAX_POOLS && oldest !== undefined) {
      pools.delete(oldest[0])
      leave(oldest[1])
    }
    return { pool: kept.pool, failed: () => void (kept.hasFailed = true) }
  }

  const chosen = (before: Kept | undefined, addresses: ReadonlyArray<string>): string => {
    const at = before === undefined ? -1 : addresses.indexOf(before.address)
    return before !== undefined && at >= 0 && !before.hasFailed
      ? before.address
      : addresses[(at + 1) % addresses.length]!
  }

  return {
    /** The connections to a URL's host at one of these addresses, which were just checked. */
    to: async ({ origin }: URL, addresses: ReadonlyArray<string>): Promise<Connection> => {
      const before = pools.get(origin)
      const address = chosen(before, addresses)
      if (before?.address === address) {
        before.hasFailed = false
        return keep(origin, before)
      }
      // The package takes 30 ms to load, which a service without webhooks saves.
      const { Pool } = await import("./Pool.ts")
      const meanwhile = pools.get(origin)
      if (meanwhile !== undefined && meanwhile !== before) return keep(origin, meanwhile)
      if (before !== undefined) leave(before)
      const pool = new Pool(origin, {
        connections: CONNECTIONS,
        pipelining: 1,
        allowH2: false,
        keepAliveTimeout: KEEP_ALIVE_MILLIS,
        keepAliveMaxTimeout: KEEP_ALIVE_MILLIS,
        headersTimeout: LONGEST_MILLIS,
        bodyTimeout: LONGEST_MILLIS,
        connect: { lookup: pinned(address), timeout: CONNECT_MILLIS, autoSelectFamily: false }
      })
      return keep(origin, { address, pool, hasFailed: false })
    }
  }
})
