import { describe, expect, it } from "vitest"
import * as FairTurns from "../../src/http/protection/FairTurns.ts"
import type { Request, Response } from "../../src/rpc/Request.ts"

const setup = () => {
  const served: Array<string> = []
  const turns: Array<() => void> = []
  let time = 0
  const fair = FairTurns.make((request) => {
    served.push(request as unknown as string)
    // Each takes a millisecond.
    time++
  }, (run) => void turns.push(run), () => time)
  const take = (client: number, name: string, weight = 8, destroyed = false) =>
    fair.take(client, weight, name as unknown as Request, { destroyed } as Response)
  const turn = () => turns.splice(0).forEach((run) => run())
  return { fair, served, take, turn, turns }
}

describe("turns", () => {
  it("begin what comes at once, while it is little", () => {
    const { served, take, turn, turns } = setup()
    for (let n = 0; n < 64; n++) take(1, `a${n}`)
    expect(served).toHaveLength(64)
    turn()
    expect(turns).toHaveLength(0)
  })

  it("put off a client's crowd, and nothing of others", () => {
    const { fair, served, take, turn } = setup()
    for (let n = 0; n < 100; n++) take(1, `a${n}`)
    take(2, "b0")
    expect(served).toHaveLength(65)
    expect(served.at(-1)).toBe("b0")
    expect(fair.waiting()).toBe(36)
    // As much as a turn has time for, and in the next one what comes first is the other client's.
    turn()
    expect(served).toHaveLength(69)
    take(2, "b1")
    expect(served.at(-1)).toBe("b1")
    // What the crowd's client sends now waits behind what it sent before.
    take(1, "a100")
    while (fair.waiting() > 0) turn()
    expect(served.filter((name) => name.startsWith("a"))).toEqual(Array.from({ length: 101 }, (_, n) => `a${n}`))
  })

  it("take one request of each client after the other, if several have crowds", () => {
    const { fair, served, take, turn } = setup()
    for (const name of ["a", "b"]) for (let n = 0; n < 70; n++) take(name === "a" ? 1 : 2, `${name}${n}`)
    served.length = 0
    while (fair.waiting() > 0) turn()
    expect(served.join(" ")).toBe(Array.from({ length: 6 }, (_, n) => `a${64 + n} b${64 + n}`).join(" "))
  })

  it("begin eight times as many claims, and none whose client left", () => {
    const { fair, served, take, turn } = setup()
    for (let n = 0; n < 512; n++) take(1, `a${n}`, 1)
    expect(served).toHaveLength(512)
    take(1, "left", 1, true)
    while (fair.waiting() > 0) turn()
    expect(served).toHaveLength(512)
  })

  it("weigh claims as most clients send them less than all else", () => {
    const url = "/coupon.v1.CouponService/IssueCoupon"
    expect(FairTurns.weightOf({ url } as Request)).toBe(1)
    expect(FairTurns.weightOf({ url, stream: {}, headers: { "content-type": "application/json" } } as never)).toBe(1)
    expect(FairTurns.weightOf({ url, stream: {}, headers: { "content-type": "application/grpc" } } as never)).toBe(8)
    expect(FairTurns.weightOf({ url: "/livez" } as Request)).toBe(8)
  })
})
