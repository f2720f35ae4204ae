import { type BlockList, isIP, type Socket } from "node:net"
import { plain } from "../../base/Address.ts"
import * as Clients from "../../base/Clients.ts"
import type { Request } from "../Request.ts"

const { GONE } = Clients
const TRUSTED = -1

const CLIENT = Symbol("client")
interface Tagged {
  [CLIENT]?: number
}

/** Whether an address is a trusted proxy's. */
const isTrustedBy = (trusted: BlockList) => (address: string): boolean =>
  trusted.check(address, address.includes(":") ? "ipv6" : "ipv4")

/** The last address in X-Forwarded-For that is no trusted proxy's; `proxy`, the peer of the connection, without one. */
const forwardedAddress = (
  raw: ReadonlyArray<string>,
  proxy: string,
  isTrusted: (address: string) => boolean
): string => {
  let chain = ""
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]!.length !== 15 || raw[i]!.toLowerCase() !== "x-forwarded-for") continue
    chain = chain === "" ? raw[i + 1]! : `${chain},${raw[i + 1]!}`
  }
  // From the right, where trusted proxies wrote; a client's own entries are further left.
  const addresses = chain.split(",")
  let last = proxy
  for (let i = addresses.length - 1; i >= 0; i--) {
    const address = plain(addresses[i]!.trim())
    if (isIP(address) === 0) break
    last = address
    if (!isTrusted(address)) break
  }
  return last
}

const peerOf = (request: Request): string => {
  const socket = "stream" in request ? request.stream.session?.socket : request.socket as Socket | undefined
  return plain(socket?.remoteAddress ?? "")
}

/** A request's client as an address, found as `make` finds it; empty for a connection that is gone. */
export const makeAddressOf = (trusted: BlockList): (request: Request) => string => {
  const isTrusted = isTrustedBy(trusted)
  return (request) => {
    const peer = peerOf(request)
    return peer !== "" && isTrusted(peer) ? forwardedAddress(request.rawHeaders, peer, isTrusted) : peer
  }
}

/** Whether a request came over a connection of a trusted proxy, whose headers about the client count. */
export const makeIsFromTrusted = (trusted: BlockList): (request: Request) => boolean => {
  const isTrusted = isTrustedBy(trusted)
  return (request) => {
    const peer = peerOf(request)
    return peer !== "" && isTrusted(peer)
  }
}

/** Whose requests and connections are whose. */
export interface ClientAddresses {
  /** The client of a request. */
  readonly ofRequest: (request: Request) => number
  /** The client of a connection; `undefined` for a trusted proxy, which has many, and for a connection that is gone. */
  readonly ofSocket: (socket: Socket) => number | undefined
  /** The client of a connection from this address. */
  readonly ofAddress: (address: string) => number | undefined
}

/**
 * Clients as numbers (`Clients.of`). The client is the peer of the connection, or behind a trusted proxy the last
 * address in X-Forwarded-For that is no proxy. (X-Envoy-External-Address is not read: proxies that do not know it pass
 * on what a client sent.)
 */
export const make = (trusted: BlockList): ClientAddresses => {
  const isTrusted = isTrustedBy(trusted)
  const known = (peer: string) => {
    const address = plain(peer)
    return address === "" ? GONE : isTrusted(address) ? TRUSTED : Clients.of(address)
  }

  const ofRequest = (request: Request): number => {
    const isStream = "stream" in request
    const owner: (Tagged & { readonly socket?: Socket }) | undefined = isStream
      ? request.stream.session
      : request.socket as Tagged & Socket
    if (owner === undefined || owner === null) return GONE
    let place = owner[CLIENT]
    if (place === undefined) {
      owner[CLIENT] = place = known((isStream ? owner.socket! : request.socket).remoteAddress ?? "")
    }
    if (place !== TRUSTED) return place
    const socket = isStream ? owner.socket : request.socket
    const proxy = plain(socket?.remoteAddress ?? "")
    return Clients.of(forwardedAddress(request.rawHeaders, proxy, isTrusted))
  }

  return {
    ofRequest,
    ofSocket: (socket) => {
      const place = (socket as Tagged)[CLIENT] ??= known(socket.remoteAddress ?? "")
      return place === TRUSTED || place === GONE ? undefined : place
    },
    ofAddress: (address) => {
      const place = known(address)
      return place === TRUSTED || place === GONE ? undefined : place
    }
  }
}
