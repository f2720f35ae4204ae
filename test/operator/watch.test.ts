import * as net from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { addressesOf } from "../../src/cli/AllInstances.ts"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { inLongProfile } from "../support/profile.ts"
import { coupon, startCommand } from "./Command.ts"

type Choose = (ports: ReadonlyArray<number>, turn: number) => number

/** Sends each connection to the next instance, or to whichever `choose` says, as a balancer of connections does. */
const startBalancer = async (ports: () => ReadonlyArray<number>, choose: Choose) => {
  let turn = 0
  const sockets = new Set<net.Socket>()
  const server = net.createServer((client) => {
    const upstream = net.connect(choose(ports(), turn++), "127.0.0.1")
    for (const [one, other] of [[client, upstream], [upstream, client]] as const) {
      sockets.add(one)
      one.on("error", () => other.destroy()).on("close", () => {
        sockets.delete(one)
        other.destroy()
      }).pipe(other)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    }
  }
}

interface Sample {
  readonly instance: string
  readonly at: string
  readonly agents: ReadonlyArray<{ readonly name: string }>
}
const samplesIn = (out: string): ReadonlyArray<Sample> =>
  out.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Sample)
const namesIn = (out: string) => new Set(samplesIn(out).map(({ instance }) => instance))
const nameOf = ({ pid }: Instance) => expect.stringMatching(new RegExp(`:${pid}$`)) as string

describe("coupon watch, with several instances behind one address", () => {
  let instances: Array<Instance> = []
  const ports = () => instances.map(({ port }) => port)
  beforeAll(async () => {
    instances = await Promise.all([1, 2, 3].map(() => startInstance()))
  })
  afterAll(() => Promise.all(instances.map((instance) => instance.kill())))

  // A seeded generator: the order of a balancer that chooses at random, the same in every run.
  let seed = 17
  const random: Choose = (all) => {
    seed = Math.imul(seed, 1_103_515_245) + 12_345 >>> 0
    return all[(seed >>> 16) % all.length]!
  }
  const inTurn: Choose = (all, turn) => all[turn % all.length]!

  const choices: ReadonlyArray<readonly [name: string, choose: Choose]> = [["in turn", inTurn], ["at random", random]]
  it.each(inLongProfile(choices, choices.slice(1)))("shows each as often as asked for (%s)", async (_, choose) => {
    const balancer = await startBalancer(ports, choose)
    try {
      const { code, out } = await coupon(balancer.url)("watch", "--json", "--count", "2")
      expect(code).toBe(0)
      for (const instance of instances) expect([...namesIn(out)]).toContainEqual(nameOf(instance))
      for (const name of namesIn(out)) {
        expect(samplesIn(out).filter(({ instance }) => instance === name), name).toHaveLength(2)
      }
      for (const { agents } of samplesIn(out)) expect(agents.map(({ name }) => name)).toContain("relay")
      const lines = (await coupon(balancer.url)("watch", "--count", "1")).out.trim().split("\n")
      expect(new Set(lines.map((line) => line.split(" ")[1])).size).toBe(3)
      for (const line of lines) expect(line).toMatch(/ agents=ok$/)
    } finally {
      balancer.close()
    }
  })

  it("goes on when one leaves, and takes up one that comes", async () => {
    const balancer = await startBalancer(ports, inTurn)
    const watching = startCommand(["watch", "--json"], { COUPON_URL: balancer.url })
    try {
      await expect.poll(() => namesIn(watching.out()).size).toBe(3)
      const [gone, ...left] = instances
      instances = left
      await gone!.stop()
      const came = await startInstance()
      instances = [...left, came]
      await expect.poll(() => [...namesIn(watching.out())]).toContainEqual(nameOf(came))
      const before = watching.out().length
      await expect.poll(() =>
        namesIn(watching.out().slice(before).replace(/^[^\n]*\n/, "").replace(/[^\n]*$/, "")).size
      ).toBe(3)
      watching.kill("SIGINT")
      expect(await watching.ended).toMatchObject({ code: exitCodes.INTERRUPTED.code, err: "" })
    } finally {
      watching.kill("SIGKILL")
      balancer.close()
    }
  })

  it("asks every address of a name, and none but the name itself over https", async () => {
    expect(await addressesOf("http://127.0.0.1:1")).toEqual(["http://127.0.0.1:1"])
    expect(await addressesOf("http://[::1]:1")).toEqual(["http://[::1]:1"])
    expect(await addressesOf("https://localhost:1")).toEqual(["https://localhost:1"])
    expect(await addressesOf("http://no-such-name.invalid:1")).toEqual(["http://no-such-name.invalid:1"])
  })

  it("ends at once if none answers, and in time if none ever does", async () => {
    const silent = net.createServer(() => {})
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve))
    const url = `http://127.0.0.1:${(silent.address() as net.AddressInfo).port}`
    try {
      expect(await coupon(url)("watch", "--timeout", "200ms")).toMatchObject({
        code: exitCodes.UNAVAILABLE.code,
        err: expect.stringContaining("did not answer in time") as string
      })
    } finally {
      silent.close()
    }
  })
})
