import { BlockList } from "node:net"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import * as Networks from "../../src/config/Networks.ts"
import * as Admission from "../../src/rpc/admission/Admission.ts"
import * as Clients from "../../src/base/Clients.ts"
import * as ClientAddress from "../../src/rpc/admission/ClientAddress.ts"
import * as PacedRejections from "../../src/rpc/admission/PacedRejections.ts"
import type { Request } from "../../src/rpc/Request.ts"

const make = (most: number) => Admission.make({ most, targetMillis: 100, trusted: new BlockList() })

/** Begins calls of a client until one is refused; how many were begun. */
const fill = (admission: Admission.Admission, client: number) => {
  let begun = 0
  for (; admission.admits(client); begun++) admission.began(client)
  return begun
}

describe("admission", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it("leaves places for others, whichever client floods", () => {
    const admission = make(900)
    expect(fill(admission, 1)).toBe(801)
    expect(admission.admits(1)).toBe(false)
    // All others, as long as none of them is greedy too.
    for (let client = 2; client < 90; client++) {
      expect(admission.admits(client)).toBe(true)
      admission.began(client)
    }
  })

  it("divides a share that ends among those who want it", () => {
    const admission = make(1_000)
    const held = new Map([[1, fill(admission, 1)], [2, 0], [3, 0]])
    // Each call that ends is asked for again by all three, the flood first.
    for (let i = 0; i < 20_000; i++) {
      const leaving = [...held].filter(([, count]) =>
        count > 0
      )[i % [...held].filter(([, count]) => count > 0).length]![0]
      admission.ended(leaving, 0, 1)
      held.set(leaving, held.get(leaving)! - 1)
      for (const client of held.keys()) {
        if (admission.admits(client)) {
          admission.began(client)
          held.set(client, held.get(client)! + 1)
        }
      }
    }
    for (const count of held.values()) expect(count).toBeGreaterThan(250)
  })

  it("has a place for a modest client also when a falling limit is below what a flood has in progress", () => {
    const admission = make(1_000)
    const flood = fill(admission, 1)
    expect(flood).toBeGreaterThan(800)
    // Calls take a second: the limit falls.
    for (let now = 0; now < 3_000; now++) {
      admission.ended(1, now - 1_000, now)
      admission.began(1)
    }
    expect(admission.limit()).toBeLessThan(flood)
    expect(admission.admits(1)).toBe(false)
    expect(admission.admits(2)).toBe(true)
    expect(fill(admission, 2)).toBeLessThan(admission.limit() / 2)
  })

  it("takes no more than MAX_IN_FLIGHT, and again when one ended", () => {
    const admission = make(2)
    expect(fill(admission, 1)).toBe(2)
    expect(admission.admits(2)).toBe(false)
    admission.ended(1, 0, 1)
    expect(admission.admits(1)).toBe(true)
  })

  it("advises a second, and under pressure more, not the same to all", () => {
    const admission = make(200)
    const advised: Array<number> = []
    const reject = () => admission.reject(({ retryAfterSeconds }) => void advised.push(retryAfterSeconds))
    reject()
    expect(advised).toEqual([1])
    for (let now = 0; now < 2_000; now++) {
      admission.began(1)
      for (let i = 0; i < 5; i++) reject()
      admission.ended(1, now - 500, now)
    }
    vi.advanceTimersByTime(10_000)
    expect(advised).toHaveLength(10_001)
    expect(new Set(advised).size).toBeGreaterThan(4)
    for (const seconds of advised) expect(seconds >= 1 && seconds <= 10).toBe(true)
  })
})

describe("refusals", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  /** A loop that has always time to spare, or never. */
  const clock = (idle: boolean): PacedRejections.Clock => ({
    now: () => performance.now(),
    idle: () => idle ? performance.now() : 0
  })

  it("are answered at once while they are few, else in turn, each exactly once", () => {
    const refusals = PacedRejections.make(clock(true))
    const heard: Array<number> = []
    for (let i = 0; i < 1_000; i++) refusals.reject(() => heard.push(i))
    expect(heard).toHaveLength(32)
    expect(refusals.held()).toBe(968)
    vi.advanceTimersByTime(1)
    expect(heard).toHaveLength(64)
    vi.advanceTimersByTime(100)
    expect(heard).toEqual(Array.from({ length: 1_000 }, (_, i) => i))
    expect(refusals.held()).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("are one for eight served while the event loop is busy, but are never delayed by more than 3 s", () => {
    const refusals = PacedRejections.make(clock(false))
    let heard = 0
    // Always as many wait: who is refused asks again.
    const ask = () => refusals.reject(() => {
      heard++
      setTimeout(ask, 0)
    })
    for (let i = 0; i < 332; i++) ask()
    const from = heard
    for (let i = 0; i < 1_000; i++) {
      for (let k = 0; k < 8; k++) refusals.served()
      vi.advanceTimersByTime(1)
    }
    expect(heard - from).toBeGreaterThan(950)
    expect(heard - from).toBeLessThan(1_050)
    // Nothing is served any more.
    const then = heard
    vi.advanceTimersByTime(2_600)
    expect(heard).toBe(then)
    vi.advanceTimersByTime(400)
    expect(heard - then).toBeGreaterThanOrEqual(300)
  })

  it("wait in a queue that is bounded, from which the oldest are answered first", () => {
    const refusals = PacedRejections.make(clock(true))
    const heard: Array<number> = []
    for (let i = 0; i < 50_000; i++) refusals.reject(() => heard.push(i))
    expect(refusals.held()).toBe(10_000)
    expect(heard).toEqual(Array.from({ length: 40_000 }, (_, i) => i))
    vi.advanceTimersByTime(1_000)
    expect(heard).toEqual(Array.from({ length: 50_000 }, (_, i) => i))
  })
})

describe("a client's place", () => {
  const networks = (...texts: ReadonlyArray<string>) => Networks.parse(texts) as BlockList
  const from = (remoteAddress: string | undefined, ...forwarded: ReadonlyArray<string>) =>
    ({
      socket: { remoteAddress },
      rawHeaders: forwarded.flatMap((value) => ["X-Forwarded-For", value])
    }) as unknown as Request
  const open = ClientAddress.make(networks()).ofRequest
  const behind = ClientAddress.make(networks("10.0.0.0/8", "fd00::/8")).ofRequest

  it("is the connection's other end, whatever a header says", () => {
    expect(open(from("192.0.2.1"))).toBe(open(from("192.0.2.1", "198.51.100.7")))
    expect(behind(from("192.0.2.1"))).toBe(behind(from("192.0.2.1", "198.51.100.7")))
    expect(open(from("192.0.2.1"))).toBe(open(from("::ffff:192.0.2.1")))
  })

  it("tells addresses apart, nearly always", () => {
    const places = new Set(Array.from({ length: 250 }, (_, i) => open(from(`192.0.2.${i}`))))
    expect(places.size).toBeGreaterThan(220)
    for (const place of places) expect(place >= 0 && place < Clients.CLIENTS).toBe(true)
  })

  it("is one number for connections, requests and wrong credentials", () => {
    const { ofAddress } = ClientAddress.make(networks("10.0.0.0/8"))
    for (const address of ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1:2::1"]) {
      expect(ofAddress(address)).toBe(Clients.of(address))
      expect(open(from(address))).toBe(Clients.of(address))
      expect(behind(from("10.1.2.3", address))).toBe(Clients.of(address))
    }
    // A trusted proxy's connection has many clients; what it sends by itself is its own.
    expect(ofAddress("10.1.2.3")).toBeUndefined()
    expect(Clients.of("")).toBe(Clients.GONE)
  })

  it("is one for a /64 of IPv6", () => {
    expect(open(from("2001:db8:1:2::1"))).toBe(open(from("2001:db8:1:2:ffff:1:2:3")))
    expect(open(from("2001:db8::1"))).toBe(open(from("2001:db8:0:0::2")))
    const places = new Set(Array.from({ length: 10 }, (_, i) => open(from(`2001:db8:1:${i}::1`))))
    expect(places.size).toBeGreaterThan(5)
  })

  it("is named by a trusted proxy, from the right", () => {
    const client = behind(from("198.51.100.7"))
    expect(behind(from("10.1.2.3", "198.51.100.7"))).toBe(client)
    expect(behind(from("::ffff:10.1.2.3", "198.51.100.7"))).toBe(client)
    expect(behind(from("fd00::1", "203.0.113.9, 198.51.100.7, 10.9.9.9"))).toBe(client)
    expect(behind(from("10.1.2.3", "203.0.113.9", "198.51.100.7"))).toBe(client)
    // What a client makes up changes nothing.
    expect(behind(from("10.1.2.3", "made up, 198.51.100.7"))).toBe(client)
  })

  it("is the proxy's own where it tells none", () => {
    const proxy = behind(from("10.1.2.3"))
    expect(behind(from("10.1.2.3", "unknown"))).toBe(proxy)
    expect(behind(from("10.1.2.3", ""))).toBe(proxy)
  })

  it("is there even for a connection that is gone", () => {
    expect(open(from(undefined))).toBe(0)
    expect(open({ stream: { session: undefined } } as unknown as Request)).toBe(0)
  })

  it("has its proxies checked", () => {
    for (const wrong of ["10.0.0.0/33", "nowhere", "1.2.3.4/", "::1/129", "10.0.0.0/8 "]) {
      expect(Networks.parse([wrong])).toContain("is no address or network")
    }
    expect(networks("127.0.0.1", "::1").check("127.0.0.1")).toBe(true)
  })
})
