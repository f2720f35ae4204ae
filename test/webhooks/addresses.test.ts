import * as Either from "effect/Either"
import { BlockList } from "node:net"
import { describe, expect, it } from "vitest"
import * as Networks from "../../src/config/Networks.ts"
import * as AddressRules from "../../src/webhooks/sending/AddressRules.ts"
import * as EndpointUrl from "../../src/webhooks/sending/EndpointUrl.ts"

const none = new BlockList()
const networks = (...texts: ReadonlyArray<string>) => Networks.parse(texts) as BlockList
const isRefused = (address: string, allowed = none) => AddressRules.refusal(address, allowed) !== undefined

/** Everything; what is refused in spite of this is refused always. */
const everything = networks("0.0.0.0/0", "::/0")

describe("addresses", () => {
  it.each(["8.8.8.8", "1.1.1.1", "::ffff:8.8.8.8", "2606:4700::1111"])("lets webhooks go to %s", (address) => {
    expect(AddressRules.refusal(address, none)).toBeUndefined()
  })

  it.each([
    "127.0.0.1", "127.255.255.254", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "198.18.0.1", "192.0.2.1", "203.0.113.5", "240.0.0.1", "::1", "fc00::1", "fd12::1", "::ffff:127.0.0.1",
    "::ffff:7f00:1", "0:0:0:0:0:ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b::808:808", "2002:a00:1::", "2001:db8::1",
    "2001:0:1::1", "fec0::1", "100::1", "::a00:1", "4000::1"
  ])("refuses %s unless its network is allowed", (address) => {
    expect(AddressRules.refusal(address, none)).toMatch(/WEBHOOK_ALLOWED_NETWORKS$/)
    expect(isRefused(address, everything)).toBe(false)
  })

  it.each([
    "0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "239.255.255.255", "169.254.169.254", "169.254.1.1",
    "100.100.100.200", "192.0.0.192", "168.63.129.16", "fe80::1", "fe80::1%eth0", "ff02::1", "::", "fd00:ec2::254",
    "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "::a9fe:a9fe",
    "::ffff:224.0.0.1"
  ])("refuses %s whatever is allowed", (address) => {
    expect(AddressRules.refusal(address, everything)).toMatch(/never go to$/)
  })

  it("refuses behind NAT64 what it would refuse without", () => {
    const nat64 = networks("64:ff9b::/96")
    expect(isRefused("64:ff9b::808:808", nat64)).toBe(false)
    expect(isRefused("64:ff9b::a00:1", nat64)).toBe(true)
    expect(isRefused("64:ff9b::a00:1", networks("64:ff9b::/96", "10.0.0.0/8"))).toBe(false)
  })

  it("allows a network and nothing beside it", () => {
    const allowed = networks("10.0.0.0/8", "fd00::/8")
    expect(isRefused("10.9.9.9", allowed)).toBe(false)
    expect(isRefused("::ffff:10.9.9.9", allowed)).toBe(false)
    expect(isRefused("fd12::1", allowed)).toBe(false)
    expect(isRefused("11.0.0.1", allowed)).toBe(false)
    expect(isRefused("192.168.0.1", allowed)).toBe(true)
    expect(isRefused("fc00::1", allowed)).toBe(true)
  })
})

describe("URLs", () => {
  const reasonOf = (text: string, allowHttp = false) => {
    const parsed = EndpointUrl.parse(text, allowHttp)
    return Either.isLeft(parsed) ? `${parsed.left.field} ${parsed.left.reason}` : parsed.right.hostname
  }

  it.each([
    ["http://shop.example/hook", /^url must begin with https/],
    ["ftp://shop.example/", /^url must begin with https/],
    ["javascript:alert(1)", /^url must begin with https/],
    ["file:///etc/passwd", /^url must begin with https/],
    ["https://user@shop.example/", /^url must not hold a user/],
    ["https://:word@shop.example/", /^url must not hold a user/],
    ["https://shop.example:0/", /^url must not have the port 0/],
    ["https://shop.example/#part", /^url must not have a fragment/],
    ["shop.example", /^url must be a URL/],
    ["", /^url must be a URL/],
    ["https://shop .example/", /^url must be a URL/],
    ["https://shop.example/\nhost", /^url must be a URL/],
    [`https://shop.example/${"x".repeat(2_048)}`, /^url must have at most 2048/]
  ])("refuses %s", (text, reason) => {
    expect(reasonOf(text)).toMatch(reason)
  })

  it("takes http only where that is allowed", () => {
    expect(reasonOf("http://shop.example:8080/hook?a=1", true)).toBe("shop.example")
    expect(reasonOf("ftp://shop.example/", true)).toMatch(/^url must begin/)
  })

  it.each([
    ["https://2130706433/", "127.0.0.1"],
    ["https://0x7f000001/", "127.0.0.1"],
    ["https://0177.0.0.1/", "127.0.0.1"],
    ["https://127.1/", "127.0.0.1"],
    ["https://0xa9.0xfe.0xa9.0xfe/", "169.254.169.254"],
    ["https://１２７.0.0.1/", "127.0.0.1"],
    ["https://[::ffff:127.0.0.1]/", "[::ffff:7f00:1]"],
    ["https://[0:0:0:0:0:0:0:1]/", "[::1]"]
  ])("reads %s as the address that it stands for, which is refused", (text, host) => {
    expect(reasonOf(text)).toBe(host)
    expect(isRefused(host)).toBe(true)
  })
})
