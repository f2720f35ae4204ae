import type * as net from "node:net"

/**
 * Has a server refuse connections by the address of their peer before Node makes sockets of them: 20 µs instead of 100.
 * Node looks up each peer in the server's `blockList`; this one's answers change.
 */
export const guard = (server: net.Server, refuses: (address: string) => boolean): void => {
  Object.assign(server, { blockList: { check: refuses } })
}
