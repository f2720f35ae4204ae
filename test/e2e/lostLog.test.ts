import { execFileSync, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, describe, expect, it } from "vitest"
import { removeDirectory, spawnGuarded, temporaryDirectory } from "../support/guardian.ts"
import { bundle, nodeProgram } from "../support/Instance.ts"
import { freePort } from "../support/privateServers.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const directories: Array<string> = []

/** The service with its standard output and error as the shell's redirection `to` has them. */
const startWith = async (to: string) => {
  const directory = temporaryDirectory("log")
  directories.push(directory)
  const port = await freePort()
  const child = spawnGuarded("bash", ["-c", `exec "$@" >${to}`, "bash", nodeProgram, ...bundle()], {
    cwd: root,
    env: {
      PATH: process.env["PATH"],
      PORT: String(port),
      DATA_DIR: Path.join(directory, "data"),
      LOG_FORMAT: "json",
      OPEN_ADMINISTRATION: "loopback"
    }
  })
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve))
  const url = `http://127.0.0.1:${port}`
  const rpc = async (name: string, body: object) => {
    const reply = await fetch(`${url}/coupon.v1.CouponService/${name}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body)
    })
    return await reply.json() as Readonly<Record<string, unknown>>
  }
  return {
    rpc,
    ready: () => expect.poll(() => fetch(`${url}/readyz`).then(({ status }) => status, () => 0)).toBe(200),
    create: async () => {
      const draft = { name: "unheard", couponLimit: 1_000, startTime: "2025-06-25T00:00:00Z" }
      return (await rpc("CreateCampaign", draft))["campaignId"] as number
    },
    /** `SPOKEN` lines of the log. */
    speak: async (campaignId: number) => {
      await rpc("PauseCampaign", { campaignId })
      await rpc("ResumeCampaign", { campaignId })
    },
    dropped: async () =>
      Number(/^coupon_log_lines_dropped_total (\d+)$/m.exec(await (await fetch(`${url}/metrics`)).text())?.[1]),
    stop: () => {
      child.kill("SIGTERM")
      return exited
    }
  }
}

/** A pause and a resumption: each is logged as a change, and as the phase that it leads to. */
const SPOKEN = 4

describe.runIf(process.platform === "linux")("a log that cannot be written", () => {
  afterEach(() => {
    for (const directory of directories.splice(0)) removeDirectory(directory)
  })

  it("on a full disk, from the first line on: the service starts, serves, counts and ends well", async () => {
    const service = await startWith("/dev/full 2>&1")
    await service.ready()
    const campaignId = await service.create()
    const atFirst = await service.dropped()
    expect(atFirst).toBeGreaterThan(0)
    await service.speak(campaignId)
    // An agent may speak meanwhile: the campaign has opened.
    const later = await service.dropped()
    expect([SPOKEN, SPOKEN + 1]).toContain(later - atFirst)
    expect(await service.rpc("IssueCoupon", { campaignId, userId: 1 })).toMatchObject({ message: "OK" })
    expect(await service.stop()).toBe(0)
  })

  it("whose reader leaves: claims go on, and so does the log when another one comes", async () => {
    const directory = temporaryDirectory("fifo")
    directories.push(directory)
    const fifo = Path.join(directory, "log")
    execFileSync("mkfifo", [fifo])
    let text = ""
    const read = () => {
      const fd = Fs.openSync(fifo, Fs.constants.O_RDONLY | Fs.constants.O_NONBLOCK)
      const socket = new Net.Socket({ fd, readable: true, writable: false })
      return socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
    }
    const reader = read()
    const service = await startWith(`${fifo} 2>&1`)
    await service.ready()
    const campaignId = await service.create()
    await service.speak(campaignId)
    await expect.poll(() => text).toMatch(/a campaign was changed[^]*a campaign was changed/)
    expect(await service.dropped()).toBe(0)

    reader.destroy()
    await expect.poll(() => reader.closed).toBe(true)
    await service.speak(campaignId)
    // An agent may speak meanwhile.
    await expect.poll(service.dropped).toBeGreaterThanOrEqual(SPOKEN)
    const claims = Array.from({ length: 20 }, (_, k) => service.rpc("IssueCoupon", { campaignId, userId: k + 1 }))
    for (const answer of await Promise.all(claims)) expect(answer).toMatchObject({ message: "OK" })

    text = ""
    const other = read()
    await service.speak(campaignId)
    await expect.poll(() => text.split("\n").length).toBeGreaterThan(SPOKEN)
    const annotationsOf = (line: string) => (JSON.parse(line) as { readonly annotations: object }).annotations
    const [first, second] = text.split("\n").slice(0, 2).map(annotationsOf)
    expect(first).toMatchObject({ unwritten: await service.dropped() })
    expect(text).toContain(`"campaignId":${campaignId}`)
    expect(second).not.toHaveProperty("unwritten")
    expect(await service.stop()).toBe(0)
    await expect.poll(() => text.match(/"message":"stopped"/g)).toHaveLength(1)
    other.destroy()
  })

  it("whose reader stands still: the service does not wait for it", async () => {
    const directory = temporaryDirectory("fifo")
    directories.push(directory)
    const fifo = Path.join(directory, "log")
    execFileSync("mkfifo", [fifo])
    const fd = Fs.openSync(fifo, Fs.constants.O_RDWR)
    const service = await startWith(`${fifo} 2>&1`)
    await service.ready()
    // The pipe itself is full, too.
    const filler = Fs.openSync(fifo, Fs.constants.O_WRONLY | Fs.constants.O_NONBLOCK)
    expect(() => {
      for (;;) Fs.writeSync(filler, Buffer.alloc(4_096, 32))
    }).toThrow("EAGAIN")
    const campaignId = await service.create()
    // They wait for the reader, far from the bound.
    await service.speak(campaignId)
    expect(await service.dropped()).toBe(0)
    expect(await service.rpc("IssueCoupon", { campaignId, userId: 1 })).toMatchObject({ message: "OK" })
    expect(await service.stop()).toBe(0)
    Fs.closeSync(filler)
    Fs.closeSync(fd)
  })

  it("an audit that cannot be printed is not a good one, unless its reader had enough", () => {
    const DATA_DIR = temporaryDirectory("data")
    directories.push(DATA_DIR)
    // As the image has it, which starts in a third of the time.
    const audit = bundle().at(-1)!.replace(/main\.js$/, "audit.js")
    const exitCode = (script: string) =>
      spawnSync("bash", ["-c", `${script}; exit \${PIPESTATUS[0]}`, nodeProgram, audit], {
        cwd: root,
        env: { PATH: process.env["PATH"], DATA_DIR, NODE_COMPILE_CACHE: ".cache/compile" }
      }).status
    expect(exitCode(`"$0" "$1" >/dev/null`)).toBe(0)
    expect(exitCode(`"$0" "$1" >/dev/full`)).toBe(2)
    expect(exitCode(`"$0" "$1" | true`)).toBe(0)
  })
})
