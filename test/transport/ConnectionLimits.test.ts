import { EventEmitter, once } from "node:events"
import * as http2 from "node:http2"
import * as net from "node:net"
import { describe, expect, it } from "vitest"
import * as ConnectionLimits from "../../src/http/protection/ConnectionLimits.ts"
import { protections } from "../../src/metrics/ProtectionMetrics.ts"
import { ISSUE, json, request, start, until } from "./Stub.ts"

/** A socket of a client; a number of `-1`: of a trusted proxy. */
class Peer extends EventEmitter {
  destroyed = false
  readonly client: number
  constructor(client: number) {
    super()
    this.client = client
  }
  destroy() {
    this.destroyed = true
    this.emit("close")
  }
}

const limits = (most: number) => {
  let time = 0
  const clientOf = (peer: unknown) => (peer as Peer).client === -1 ? undefined : (peer as Peer).client
  const shares = ConnectionLimits.make({ most, clientOf, now: () => time })
  const open = (client: number): Peer | undefined => {
    const peer = new Peer(client)
    if (!shares.admits(clientOf(peer))) return undefined
    shares.take(peer as never)
    return peer
  }
  return {
    shares,
    open,
    opens: (client: number, count: number) =>
      Array.from({ length: count }, () => open(client)).flatMap((peer) => peer === undefined ? [] : [peer]),
    busy: (peers: ReadonlyArray<Peer>) => {
      for (const peer of peers) ConnectionLimits.requestBegan(peer)
    },
    pass: (millis: number) => {
      time += millis
    }
  }
}

describe("connections are shared", () => {
  it("so that a client has three quarters of them alone, two have the same, and a new one finds a place", () => {
    const { busy, open, opens, shares } = limits(100)
    busy(opens(1, 100))
    expect(shares.count()).toBe(75)
    busy(opens(2, 100))
    // 1 had begun; what 2 may have is what is free then, thrice.
    expect(shares.count()).toBe(94)
    for (let client = 3; client < 9; client++) expect(open(client), String(client)).toBeDefined()
  })

  it("and a trusted proxy has all that are free", () => {
    const { busy, opens, shares } = limits(100)
    busy(opens(-1, 200))
    expect(shares.count()).toBe(100)
  })

  it("and idle ones of the client go first, the longest idle before the others", () => {
    const { open, opens, pass } = limits(100)
    const early = opens(1, 40)
    pass(10)
    const late = opens(1, 100)
    expect(late).toHaveLength(35)
    // A moment ago is not idle.
    expect(open(1)).toBeUndefined()
    pass(2_000)
    expect(open(1)).toBeDefined()
    expect(early.filter(({ destroyed }) => destroyed)).toHaveLength(2)
    expect(late.filter(({ destroyed }) => destroyed)).toHaveLength(0)
  })

  it("and where none is idle, the new one is refused", () => {
    const { busy, open, opens, pass, shares } = limits(8)
    const before = protections.limit.value()
    for (let client = 1; client <= 8; client++) busy(opens(client, 1))
    pass(5_000)
    expect(shares.count()).toBe(8)
    expect(open(9)).toBeUndefined()
    expect(protections.limit.value() - before).toBe(1)
  })

  it("and if all are taken, idle ones of those with most go before those of others", () => {
    const { open, opens, pass } = limits(8)
    const modest = opens(1, 1)
    pass(10)
    const greedy = opens(2, 5)
    opens(3, 2)
    pass(5_000)
    const newcomer = open(4)
    expect(newcomer).toBeDefined()
    expect(modest[0]!.destroyed).toBe(false)
    expect(greedy.filter(({ destroyed }) => destroyed)).toHaveLength(1)
  })

  it("and many new ones at once are too many, whether or not they stay", () => {
    const { open, pass } = limits(1_000)
    const stays = open(1)
    let opened = 0
    for (let one = open(1); one !== undefined; one = open(1)) {
      opened++
      one.destroy()
    }
    expect(stays!.destroyed).toBe(false)
    expect(opened).toBe(3_999)
    expect(open(2)).toBeDefined()
    pass(1_000)
    expect(open(1)).toBeDefined()
  })
})

describe("a server whose connections are taken", () => {
  const issue = "{\"campaignId\":1,\"userId\":1}"

  it("closes idle ones over both protocols, and says GOAWAY", async () => {
    const server = await start({ environment: { MAX_CONNECTIONS: "4" } })
    const idle = net.connect({ port: server.port, host: "127.0.0.1" })
    let closed = false
    idle.resume().on("close", () => closed = true)
    await once(idle, "connect")
    idle.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    const session = http2.connect(server.url)
    let goaway = false
    session.on("error", () => {}).on("goaway", () => goaway = true)
    await once(session, "remoteSettings")
    const before = protections.idle.value()
    // They have to be idle for a second.
    await expect.poll(async () => {
      const others = Array.from({ length: 4 }, () => net.connect(server.port, "127.0.0.1").on("error", () => {}))
      await new Promise((resolve) => setTimeout(resolve, 100))
      for (const other of others) other.destroy()
      return closed && goaway
    }, { timeout: 20_000 }).toBe(true)
    expect(protections.idle.value() - before).toBeGreaterThanOrEqual(2)
    await expect.poll(() =>
      request(server.port, { path: ISSUE, headers: json, body: issue }).then(({ status }) => status, () => 0)
    ).toBe(200)
    session.destroy()
    await server.close()
  })

  it("serves another client at once, and none of the requests under way is lost", async () => {
    const server = await start({ environment: { MAX_CONNECTIONS: "40" } })
    const crowd = Array.from({ length: 100 }, () => {
      const socket = net.connect({ port: server.port, host: "127.0.0.1", localAddress: "127.0.0.66" })
      return socket.on("error", () => {}).resume()
    })
    await until(() => crowd.filter(({ destroyed }) => destroyed).length >= 70)
    const answers = await Promise.all(Array.from({ length: 5 }, () =>
      request(server.port, { path: ISSUE, headers: json, body: issue })))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    for (const socket of crowd) socket.destroy()
    await server.close()
  })
})
