import ipaddr from "ipaddr.js"
import type { BlockList } from "node:net"

type Address = ipaddr.IPv4 | ipaddr.IPv6

/**
 * Addresses where machines of a cloud get credentials, which no operator may allow: a receiver's name could point
 * there. Those within link-local networks are refused with these.
 */
const METADATA: ReadonlySet<string> = new Set([
  // Alibaba Cloud, Oracle Cloud, Azure (its wire server has a public address), AWS over IPv6.
  "100.100.100.200",
  "192.0.0.192",
  "168.63.129.16",
  "fd00:ec2::254"
])

/** The networks of NAT64 and 6to4, in which the destination is an IPv4 address. */
const NAT64 = ipaddr.IPv6.parseCIDR("64:ff9b::/96")
const SIX_TO_FOUR = ipaddr.IPv6.parseCIDR("2002::/16")
const IPV4_COMPATIBLE = ipaddr.IPv6.parseCIDR("::/96")
/** All that was ever given to be public unicast. */
const GLOBAL = ipaddr.IPv6.parseCIDR("2000::/3")

/** The IPv4 address that packets to an IPv6 address may end at. */
const embedded = (address: ipaddr.IPv6): ipaddr.IPv4 | undefined => {
  const bytes = address.toByteArray()
  if (address.match(NAT64)) return new ipaddr.IPv4(bytes.slice(12))
  if (address.match(SIX_TO_FOUR)) return new ipaddr.IPv4(bytes.slice(2, 6))
  return address.match(IPV4_COMPATIBLE) && bytes[12] !== 0 ? new ipaddr.IPv4(bytes.slice(12)) : undefined
}

/** An address in its own form: an IPv4 address as such, however it was written. */
const parsed = (text: string): Address | undefined => {
  const plain = text.replace(/^\[|\]$/g, "").replace(/%.*$/, "")
  return ipaddr.isValid(plain) ? ipaddr.process(plain) : undefined
}

const isNever = (address: Address): boolean => {
  const range = address.range()
  if (range === "linkLocal" || range === "multicast" || range === "broadcast" || range === "unspecified") return true
  if (METADATA.has(address.toString())) return true
  const inner = address.kind() === "ipv6" ? embedded(address as ipaddr.IPv6) : undefined
  return inner !== undefined && isNever(inner)
}

const isPublic = (address: Address): boolean =>
  address.range() === "unicast" && (address.kind() === "ipv4" || (address as ipaddr.IPv6).match(GLOBAL))

/** Whether an address lies in one of the networks; behind NAT64, the one that packets end at has to be allowed too. */
const isAllowed = (address: Address, networks: BlockList): boolean => {
  const kind = address.kind() === "ipv4" ? "ipv4" : "ipv6"
  if (!networks.check(address.toString(), kind)) return false
  const inner = kind === "ipv6" ? embedded(address as ipaddr.IPv6) : undefined
  return inner === undefined || isPublic(inner) || isAllowed(inner, networks)
}

/**
 * Why no webhook may be sent to an address, as the end of a sentence; `undefined`: one may. It has to be public unicast
 * or in `networks`. Link-local, multicast and metadata addresses are refused in any case.
 */
export const refusal = (text: string, networks: BlockList): string | undefined => {
  const address = parsed(text)
  if (address === undefined) return "is no IP address"
  if (isNever(address)) return `is ${address.toString()}, an address that webhooks never go to`
  if (isPublic(address) || isAllowed(address, networks)) return undefined
  return `is ${address.toString()}, which is not public and not in WEBHOOK_ALLOWED_NETWORKS`
}
