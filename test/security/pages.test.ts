import * as Effect from "effect/Effect"
import * as http2 from "node:http2"
import { describe, expect, it } from "vitest"
import * as CouponPages from "../../src/campaigns/listing/CouponPages.ts"
import type { Coupon } from "../../src/domain/Coupon.ts"
import { protections } from "../../src/metrics/ProtectionMetrics.ts"
import * as RequestMetrics from "../../src/metrics/RequestMetrics.ts"
import * as Metrics from "../../src/metrics/Metrics.ts"
import type { UseCases } from "../../src/rpc/Startup.ts"
import { campaign, coupon, echo, json, request, start, until } from "../transport/Stub.ts"

const PATH = "/coupon.v1.CouponService/GetCampaign"
const body = "{\"campaignId\":1}"

/** A ledger of so many coupons, and what was read of it. */
const ledger = (issued: () => number) => {
  const reads: Array<readonly [number, number]> = []
  let [now, most] = [0, 0]
  const pages = CouponPages.make((campaignId, afterId, limit) =>
    Effect.async<ReadonlyArray<Coupon>>((resume) => {
      reads.push([afterId, limit])
      most = Math.max(most, ++now)
      setImmediate(() => {
        now--
        const count = Math.max(0, Math.min(limit, issued() - afterId))
        const ofIndex = (_: unknown, n: number) => ({ ...coupon, campaignId, id: afterId + n + 1 })
        resume(Effect.succeed(Array.from({ length: count }, ofIndex)))
      })
    }))
  const read = (afterId: number, count: number) =>
    pages.read({ campaignId: 1, afterId, count, issued: issued() })
  return { most: () => most, read, reads }
}
const ids = (coupons: ReadonlyArray<Coupon>) => coupons.map(({ id }) => id)
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n)

describe("pages of coupons", () => {
  it("are those asked for, wherever they begin, and read each block once", async () => {
    const { most, read, reads } = ledger(() => 10_000)
    for (const [afterId, count] of [[0, 10_000], [0, 1], [999, 2], [1_500, 3_000], [9_999, 10], [10_000, 5]] as const) {
      const last = Math.min(10_000, afterId + count)
      expect(ids(await Effect.runPromise(read(afterId, count)))).toEqual(range(afterId + 1, last))
    }
    expect(reads).toHaveLength(10)
    expect(most()).toBe(1)
  })

  it("that are a whole block are the same array each time, whose text is kept", async () => {
    const { read } = ledger(() => 2_500)
    const first = await Effect.runPromise(read(1_000, 1_000))
    expect(await Effect.runPromise(read(1_000, 1_000))).toBe(first)
    expect(ids(first)).toEqual(range(1_001, 2_000))
  })

  it("grow with the campaign: a block that was not full is read again once it has more", async () => {
    let issued = 300
    const { read, reads } = ledger(() => issued)
    expect(await Effect.runPromise(read(0, 1_000))).toHaveLength(300)
    expect(await Effect.runPromise(read(0, 200))).toHaveLength(200)
    expect(reads).toHaveLength(1)
    issued = 700
    expect(ids(await Effect.runPromise(read(0, 1_000)))).toEqual(range(1, 700))
    expect(reads).toHaveLength(2)
  })

  it("are read one block at a time, and rejected when many wait", async () => {
    const { most, read } = ledger(() => 10_000_000)
    const outcomes = await Promise.all(Array.from({ length: 100 }, (_, n) =>
      Effect.runPromise(Effect.either(read(n * 1_000, 1_000)))))
    const rejected = outcomes.filter((outcome) => outcome._tag === "Left")
    expect(rejected).toHaveLength(36)
    expect(rejected.every((outcome) => outcome._tag === "Left" && outcome.left._tag === "Overloaded")).toBe(true)
    expect(most()).toBe(1)
  })

  it("are not rejected or lost after a reader left", async () => {
    const { read } = ledger(() => 10_000)
    const left = read(0, 1_000).pipe(Effect.timeout(0), Effect.either)
    await Promise.all(Array.from({ length: 20 }, () => Effect.runPromise(left)))
    expect(await Effect.runPromise(read(0, 1_000))).toHaveLength(1_000)
  })
})

/** A service whose campaign has 1,000 codes, and the sizes of the pages that were asked for. */
const withCodes = () => {
  const coupons = range(1, 1_000).map((id) => ({ ...coupon, id, code: `가${String(id).padStart(9, "0")}` }))
  const sizes: Array<number> = []
  const useCases: UseCases = {
    ...echo,
    campaigns: {
      ...echo.campaigns,
      get: (_, pageSize) =>
        Effect.sync(() => {
          sizes.push(pageSize)
          const full = { ...campaign, name: "[\"codes\"]", issuedCount: 1_000 }
          return { campaign: full, coupons, nextPageToken: undefined }
        })
    }
  }
  return { sizes, useCases }
}

describe("GetCampaign", () => {
  it("answers callers without a key with 1,000 codes at most, and keys with what they ask for", async () => {
    const { sizes, useCases } = withCodes()
    const keyed: UseCases = {
      ...useCases,
      guard: {
        ...useCases.guard,
        publicIsOpen: false,
        admit: (caller) =>
          Effect.succeed({ name: "one", role: caller.authorization === undefined ? "NONE" : "VIEWER" })
      }
    }
    const server = await start({ useCases: () => keyed })
    for (const headers of [json, { ...json, authorization: "Bearer x" }]) {
      for (const pageSize of [0, 7, 1_000, 1_001, 10_000]) {
        await request(server.port, { path: PATH, headers, body: JSON.stringify({ campaignId: 1, pageSize }) })
      }
    }
    expect(sizes).toEqual([1_000, 7, 1_000, 1_000, 1_000, 0, 7, 1_000, 1_001, 10_000])
    await server.close()
  })

  it("has the same text by the kept one and by the general writer", async () => {
    const { useCases } = withCodes()
    const server = await start({ useCases: () => useCases })
    const texts = await Promise.all([PATH, PATH, `${PATH}?`].map(async (path) =>
      (await request(server.port, { path, headers: json, body })).body))
    expect(JSON.parse(texts[0]!)).toMatchObject({ name: "[\"codes\"]" })
    expect((JSON.parse(texts[0]!) as { readonly issuedCoupons: unknown }).issuedCoupons).toHaveLength(1_000)
    expect(new Set(texts).size).toBe(1)
    await server.close()
  })

  it.each(["application/json", "application/grpc"])("holds unread answers up to a client's part: %s", async (type) => {
    const { useCases } = withCodes()
    const server = await start({ useCases: () => useCases, environment: { HELD_BYTES: "4194304" } })
    const before = protections.bytes.value()
    const sessions = [1, 2].map(() => http2.connect(server.url, { settings: { initialWindowSize: 0 } }))
    let answered = 0
    for (const session of sessions) {
      session.on("error", () => {})
      for (let n = 0; n < 100; n++) {
        const stream = session.request({ ":method": "POST", ":path": PATH, "content-type": type, te: "trailers" })
        stream.on("error", () => {}).on("response", () => answered++).pause()
        stream.end(type === "application/json" ? body : Buffer.from([0, 0, 0, 0, 2, 8, 1]))
      }
    }
    await until(() => answered === 200)
    const held = () => {
      Metrics.sample()
      return RequestMetrics.heldBytes.value()
    }
    // 65 pages of 32 KB are 2 MiB.
    expect(protections.bytes.value() - before).toBe(135)
    expect(held()).toBe(65 * 32_000)
    for (const session of sessions) session.destroy()
    await until(() => held() === 0)
    await server.close()
  })
})
