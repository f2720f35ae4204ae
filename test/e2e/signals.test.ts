import * as net from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import { makeReaction } from "../../src/MainProgram.ts"
import { startInstance, type Instance } from "../support/Instance.ts"

let instance: Instance | undefined
afterEach(() => instance?.kill())

/** A call whose body is half sent, so that the instance cannot end before it has been answered. */
const halfCall = async ({ port, url }: Instance) => {
  const body = JSON.stringify({ name: "signals", couponLimit: 10, startTime: "2025-06-25T00:00:00Z" })
  const socket = net.connect(port, "127.0.0.1")
  let reply = ""
  socket.setEncoding("utf8").on("data", (text: string) => (reply += text)).on("error", () => {})
  const answered = new Promise<string>((resolve) => socket.once("close", () => resolve(reply)))
  socket.write(
    "POST /coupon.v1.CouponService/CreateCampaign HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" +
      `content-length: ${body.length}\r\n\r\n${body.slice(0, 20)}`
  )
  // A later connection was served, so this one is known too.
  await fetch(`${url}/livez`, { headers: { connection: "close" } })
  return { answered, finish: () => socket.write(body.slice(20)) }
}

const lastMessage = (logs: string): unknown =>
  (JSON.parse(logs.trim().split("\n").at(-1)!) as { readonly message: unknown }).message

describe("a signal", () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    it(`${signal} that arrives twice, as Ctrl-C on npm start does, finishes what was admitted`, async () => {
      const running = instance = await startInstance()
      const call = await halfCall(running)
      process.kill(running.pid, signal)
      await expect.poll(() => running.logs()).toContain("stopping: finishing what was admitted")
      process.kill(running.pid, signal)
      // By the time that a connection is refused the second one has been received.
      await expect.poll(() => fetch(`${running.url}/livez`).then(() => "served", () => "refused")).toBe("refused")
      call.finish()
      expect(await call.answered).toMatch(/^HTTP\/1\.1 200 [^]*"campaignId":1/)
      expect(await running.exited).toBe(0)
      expect(lastMessage(running.logs())).toBe("stopped")
    })
  }

  it("that is repeated on purpose ends the process at once, with a shell's exit code", async () => {
    const running = instance = await startInstance({ SHUTDOWN_TIMEOUT: "10m" })
    await halfCall(running)
    let code: number | null | undefined
    void running.exited.then((ended) => (code = ended))
    await expect.poll(() => {
      if (code === undefined) process.kill(running.pid, "SIGINT")
      return code
    }, { interval: 300, timeout: 30_000 }).toBe(130)
    expect(running.logs().trim().split("\n").at(-1)).toBe("SIGINT again: leaving at once, whatever is under way")
  })

  it.each([
    ["one press, passed on once", [0, 3], "Finish Same"],
    ["one press on a busy machine", [0, 900], "Finish Same"],
    ["one press, passed on by several", [0, 2, 5, 9], "Finish Same Same Same"],
    ["a second press, later", [0, 3, 2_000], "Finish Same Leave"],
    ["a second press without npm", [0, 2_000], "Finish Leave"],
    ["a third press", [0, 300, 600], "Finish Same Leave"]
  ] as const)("means by the time since those before it: %s", (_, times, expected) => {
    let at = 0
    const reactionTo = makeReaction(() => at)
    expect(times.map((time) => {
      at = time
      return reactionTo()
    }).join(" ")).toBe(expected)
  })
})
