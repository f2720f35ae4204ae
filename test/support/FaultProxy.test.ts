import { once } from "node:events"
import * as Net from "node:net"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { startProxy, type FaultProxy } from "./FaultProxy.ts"

/** A server that notes what it receives and answers it in capitals. */
let server: Net.Server
let heard: Array<string>
let proxy: FaultProxy
let clients: Array<Net.Socket>

/** A client that collects what it receives. */
const connect = async () => {
  const socket = Net.connect(proxy.port, "127.0.0.1")
  clients.push(socket)
  const state = { text: "", closed: false }
  socket.on("data", (chunk) => {
    state.text += chunk.toString()
  })
  socket.on("error", () => {})
  socket.on("close", () => {
    state.closed = true
  })
  await once(socket, "connect")
  return { state, send: (text: string) => socket.write(text), end: () => socket.end() }
}

beforeEach(async () => {
  heard = []
  clients = []
  server = Net.createServer((socket) => {
    socket.on("error", () => {})
    socket.on("data", (chunk) => {
      heard.push(chunk.toString())
      socket.write(chunk.toString().toUpperCase())
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  proxy = await startProxy((server.address() as Net.AddressInfo).port)
})

afterEach(async () => {
  for (const client of clients) client.destroy()
  await proxy.stop()
  await new Promise((resolve) => server.close(resolve))
})

describe("FaultProxy", () => {
  it("is transparent at first, also when a client closes its half", async () => {
    const client = await connect()
    client.send("one")
    client.end()
    await expect.poll(() => client.state).toEqual({ text: "ONE", closed: true })
  })

  it("keeps the rest of a URL", () => {
    expect(proxy.url("mysql://me:pw@db.example:3306/coupon?ssl=no")).toBe(
      `mysql://me:pw@127.0.0.1:${proxy.port}/coupon?ssl=no`
    )
  })

  it.each(["cut", "reset"] as const)("%s ends open connections, and new ones are accepted", async (end) => {
    const client = await connect()
    client.send("one")
    await expect.poll(() => client.state.text).toBe("ONE")
    proxy[end]()
    await expect.poll(() => client.state.closed).toBe(true)
    const next = await connect()
    next.send("two")
    await expect.poll(() => next.state.text).toBe("TWO")
  })

  it("refuses new connections and leaves open ones alone", async () => {
    const before = await connect()
    before.send("one")
    await expect.poll(() => before.state.text).toBe("ONE")
    proxy.refuse()
    await new Promise((resolve) => {
      const refused = Net.connect(proxy.port, "127.0.0.1")
      refused.on("error", () => {})
      refused.on("close", resolve)
    })
    before.send("two")
    await expect.poll(() => before.state.text).toBe("ONETWO")
    proxy.accept()
    const after = await connect()
    after.send("three")
    await expect.poll(() => after.state.text).toBe("THREE")
  })

  it("holds a matching request, and what follows it, until it is released", async () => {
    const [client, other] = [await connect(), await connect()]
    const holding = proxy.holdRequests((bytes) => bytes.includes("commit"))
    client.send("begin")
    await expect.poll(() => client.state.text).toBe("BEGIN")
    client.send("commit")
    const held = await holding
    expect(held.bytes.toString()).toBe("commit")
    client.send(" more")
    other.send("other")
    await expect.poll(() => other.state.text).toBe("OTHER")
    expect(heard).toEqual(["begin", "other"])
    held.release()
    await expect.poll(() => client.state.text).toBe("BEGINCOMMIT MORE")
    client.send("commit")
    await expect.poll(() => client.state.text).toBe("BEGINCOMMIT MORECOMMIT")
  })

  it("drops a held request: the server never receives it", async () => {
    const client = await connect()
    const holding = proxy.holdRequests()
    client.send("commit")
    const held = await holding
    held.drop()
    await expect.poll(() => client.state).toEqual({ text: "", closed: true })
    const next = await connect()
    next.send("next")
    await expect.poll(() => next.state.text).toBe("NEXT")
    expect(heard).toEqual(["next"])
  })

  it("delivers late what a client had sent whose connection is dead", async () => {
    const client = await connect()
    const holding = proxy.holdRequests()
    client.send("commit")
    const held = await holding
    held.sever()
    await expect.poll(() => client.state).toEqual({ text: "", closed: true })
    const next = await connect()
    expect(heard).toEqual([])
    held.release()
    await expect.poll(() => heard).toEqual(["commit"])
    next.send("next")
    await expect.poll(() => next.state.text).toBe("NEXT")
    await expect.poll(() => proxy.connections()).toBe(1)
  })

  it("holds the reply to a matching request: the server has received it and the client receives nothing", async () => {
    const [client, other] = [await connect(), await connect()]
    const holding = proxy.holdReplies((bytes) => bytes.includes("commit"))
    client.send("begin")
    await expect.poll(() => client.state.text).toBe("BEGIN")
    client.send("commit")
    const held = await holding
    expect(held.bytes.toString()).toBe("COMMIT")
    other.send("other")
    await expect.poll(() => other.state.text).toBe("OTHER")
    expect(heard).toEqual(["begin", "commit", "other"])
    expect(client.state.text).toBe("BEGIN")
    held.release()
    await expect.poll(() => client.state.text).toBe("BEGINCOMMIT")
  })

  it("drops a held reply: the client loses its connection without an answer", async () => {
    const client = await connect()
    const holding = proxy.holdReplies()
    client.send("commit")
    const held = await holding
    held.drop()
    await expect.poll(() => client.state).toEqual({ text: "", closed: true })
    expect(heard).toEqual(["commit"])
  })

  it("delivers a held reply although the server is gone by then", async () => {
    server.on("connection", (socket) => socket.on("data", () => socket.destroySoon()))
    const holding = proxy.holdReplies()
    const client = await connect()
    client.send("bye")
    const held = await holding
    await new Promise((resolve) => server.close(resolve))
    held.release()
    await expect.poll(() => client.state).toEqual({ text: "BYE", closed: true })
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
  })

  it("delays both ways and keeps the order when the delay ends", async () => {
    const client = await connect()
    proxy.delay(50)
    const start = performance.now()
    client.send("one")
    await expect.poll(() => heard).toEqual(["one"])
    proxy.delay(0)
    client.send("two")
    await expect.poll(() => client.state.text).toBe("ONETWO")
    expect(heard).toEqual(["one", "two"])
    // Timers never fire early, so this bound holds on any machine.
    expect(performance.now() - start).toBeGreaterThanOrEqual(49)
  })

  it("loses the connection when no server is behind it", async () => {
    await proxy.stop()
    const closed = Net.createServer()
    closed.listen(0, "127.0.0.1")
    await once(closed, "listening")
    const { port } = closed.address() as Net.AddressInfo
    await new Promise((resolve) => closed.close(resolve))
    proxy = await startProxy(port)
    const client = await connect()
    await expect.poll(() => client.state).toEqual({ text: "", closed: true })
  })
})
