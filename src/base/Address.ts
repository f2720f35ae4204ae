/** An address as text, without the prefix that an IPv4 address has on a dual-stack socket. */
export const plain = (address: string): string =>
  address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address

/** What counts as one client: an IPv4 address, or the /64 of an IPv6 address, which is what one customer gets. */
export const networkOf = (address: string): string => {
  if (!address.includes(":")) return address
  const [front, back] = address.split("::") as [string, string | undefined]
  const groups = front === "" ? [] : front.split(":")
  if (back !== undefined) {
    const behind = back === "" ? 0 : back.split(":").length
    while (groups.length + behind < 8) groups.push("0")
  }
  return groups.slice(0, 4).join(":").toLowerCase()
}
