import * as net from "node:net"
import { describe, expect, it } from "vitest"
import * as Acceptors from "../../src/http/connections/Acceptors.ts"
import * as Entry from "../../src/http/protection/Entry.ts"

const listening = async (options: net.ListenOptions) => {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", ...options }, resolve))
  return { server, port: (server.address() as net.AddressInfo).port }
}
const closed = (one: { readonly close: (done: () => void) => void }) =>
  new Promise<void>((resolve) => one.close(resolve))

describe.runIf(process.platform === "linux")("acceptors", () => {
  it("let in many connections in one turn of the event loop", async () => {
    const { port, server } = await listening({ port: 0, reusePort: true })
    const acceptors = await Acceptors.start(server, { maxConnections: 1_000, refuses: () => false, failed: () => {} })
    const accepted: Array<net.Socket> = []
    const turns = new Set<number>()
    let turn = 0
    const done = new Promise<void>((resolve) => {
      server.on("connection", (socket: net.Socket) => {
        turns.add(turn)
        if (accepted.push(socket) === 200) resolve()
      })
    })
    const clients = Array.from({ length: 200 }, () => net.connect(port, "127.0.0.1"))
    // The kernel completes handshakes by itself: all wait to be accepted when the loop gets to it.
    const tick = () => {
      turn++
      if (accepted.length < 200) setImmediate(tick)
    }
    setImmediate(tick)
    await done
    expect(turns.size).toBeLessThan(100)
    for (const socket of [...clients, ...accepted]) socket.destroy()
    await Promise.all([closed(server), closed(acceptors)])
    expect(await Acceptors.mayShare("127.0.0.1", port)).toBe(true)
  })

  it("leave a port alone that another process has, even one that would share it", async () => {
    for (const reusePort of [false, true]) {
      const { port, server } = await listening({ port: 0, reusePort })
      expect(await Acceptors.mayShare("127.0.0.1", port)).toBe(false)
      await closed(server)
    }
  })

  it("close connections of peers that are refused, whichever socket accepts them", async () => {
    const { port, server } = await listening({ port: 0, reusePort: true })
    const refuses = (address: string) => address === "127.0.0.3"
    Entry.guard(server, refuses)
    const acceptors = await Acceptors.start(server, { maxConnections: 50, refuses, failed: () => {} })
    const open = new Set<net.Socket>()
    server.on("connection", (socket: net.Socket) => open.add(socket))
    const clients = Array.from({ length: 80 }, (_, n) => {
      const localAddress = n % 2 === 0 ? "127.0.0.3" : "127.0.0.1"
      return net.connect({ port, host: "127.0.0.1", localAddress }).resume().on("error", () => {})
    })
    await expect.poll(() => clients.filter((client) => client.destroyed).length).toBe(40)
    await expect.poll(() => open.size).toBe(40)
    for (const socket of [...clients, ...open]) socket.destroy()
    await Promise.all([closed(server), closed(acceptors)])
  })
})
