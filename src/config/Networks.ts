import { BlockList, isIP } from "node:net"

/** Parses addresses and networks in CIDR notation; returns a message if one is neither. */
export const parse = (texts: ReadonlyArray<string>): BlockList | string => {
  const list = new BlockList()
  for (const text of texts) {
    const [, address, bits] = /^([\da-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
    const version = isIP(address ?? "")
    const all = version === 4 ? 32 : 128
    if (version === 0 || Number(bits ?? all) > all) return `${text} is no address or network, such as 10.0.0.0/8`
    list.addSubnet(address!, Number(bits ?? all), version === 4 ? "ipv4" : "ipv6")
  }
  return list
}
