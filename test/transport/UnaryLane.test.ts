import * as Shares from "../../src/rpc/admission/Shares.ts"
import { create, toBinary } from "@bufbuild/protobuf"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { UserId } from "../../src/domain/Coupon.ts"
import * as Failures from "../../src/domain/Failure.ts"
import type { ClaimFailure } from "../../src/domain/Failure.ts"
import type { UseCases } from "../../src/rpc/Startup.ts"
import { routes } from "../../src/rpc/CouponRoutes.ts"
import { CreateCampaignRequestSchema, IssueCouponRequestSchema } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import type { Dispatcher } from "../../src/rpc/dispatch/Dispatcher.ts"
import { decodeJson } from "../../src/rpc/JsonRequest.ts"
import type { Response } from "../../src/rpc/Request.ts"
import * as UnaryLane from "../../src/rpc/UnaryLane.ts"
import { inLongProfile } from "../support/profile.ts"
import type { Running } from "./Stub.ts"
import { campaign, coupon, echo, ISSUE, issuing, json, request, start } from "./Stub.ts"

const failures: ReadonlyArray<(userId: UserId) => Effect.Effect<typeof coupon, ClaimFailure>> = [
  () => Effect.fail(new Failures.CouponSoldOut()),
  (userId) => Effect.fail(new Failures.CouponAlreadyClaimed({ coupon: { ...coupon, userId } })),
  () => Effect.fail(new Failures.Overloaded({ retryAfterSeconds: 3 })),
  () => Effect.die(new Error("defect")),
  () => Effect.fail(new Failures.OutcomeUnknown()),
  (userId) => Effect.succeed({ ...coupon, userId, code: "\"\\\u2028가\u0001", issuedAt: 1_750_000_000_123 })
]

/** The answer depends on the user alone, so that both paths must return the same. Some answers take a while. */
const answer = (userId: UserId) => {
  const outcome = failures[Number(userId % 9n)]?.(userId) ?? Effect.succeed({ ...coupon, userId })
  return userId % 2n === 0n ? outcome : Effect.zipRight(Effect.yieldNow(), outcome)
}

const useCases: UseCases = {
  ...echo,
  issueCoupon: issuing((_, userId) => answer(userId)),
  campaigns: {
    ...echo.campaigns,
    create: ({ draft }) => Effect.succeed({ ...campaign, ...draft, campaignId: draft.couponLimit }),
    getCoupon: (_, userId) => answer(userId) as Effect.Effect<typeof coupon, Failures.RecordNotFound>
  }
}

let server: Running
const agent = new http.Agent({ keepAlive: true })
beforeAll(async () => {
  server = await start({ useCases: () => useCases })
})
afterAll(() => {
  agent.destroy()
  return server.close()
})

const integers = fc.oneof(
  fc.integer().map(String),
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 50 }).map(String) },
  fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n }).map(String),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n }).map(String),
  fc.double().map((n) => Number.isFinite(n) ? String(n) : "0"),
  fc.constantFrom("null", "true", "\"\"", "\"x\"", "[]", "{}", "1e2", "1.0", "-0", "00", "1e", "\"007\"", "0.1e1")
)
const quoted = fc.tuple(integers, fc.boolean()).map(([n, quote]) => quote && !n.includes("\"") ? `"${n}"` : n)
const key = (...names: ReadonlyArray<string>) => fc.constantFrom(...names.map((name) => JSON.stringify(name)))
const space = fc.constantFrom("", " ", "\n", "\t ", "\u00a0")

const issueText = fc.tuple(
  fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.tuple(key("campaignId", "campaign_id"), fc.oneof(fc.constant("1"), quoted)) },
      { weight: 4, arbitrary: fc.tuple(key("userId", "user_id", "user\\u0049d"), quoted) },
      { weight: 1, arbitrary: fc.tuple(key("other", "__proto__", "[x]"), fc.json()) }
    ),
    { maxLength: 4 }
  ),
  space
).map(([fields, gap]) => `{${gap}${fields.map(([k, v]) => `${k}${gap}:${gap}${v}`).join(`,${gap}`)}${gap}}${gap}`)

const plainText = fc.tuple(fc.integer({ min: 0, max: 9 }), quoted, space).map(([campaignId, userId, gap]) =>
  `{${gap}"campaignId":${gap}${campaignId},"userId"${gap}:${userId}}`
)

const createText = fc.record({
  name: fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.integer(), fc.constant(null)),
  couponLimit: fc.oneof(fc.integer({ min: 0, max: 11_000_000 }), fc.bigInt().map(String)),
  startTime: fc.oneof(fc.constantFrom("2025-06-25T00:00:00Z", "2025-02-30T00:00:00Z", ""), fc.string()),
  endTime: fc.oneof(fc.constantFrom("2026-06-25T00:00:00+09:00", ""), fc.string())
}, { requiredKeys: [] }).map((value) => JSON.stringify(value))

const bytes = (text: fc.Arbitrary<string>) => text.map((value) => Buffer.from(value))
const rubbish = fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value))
const binary = fc.oneof(
  rubbish,
  fc.record({ campaignId: fc.integer(), userId: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) }).map((init) =>
    Buffer.from(toBinary(IssueCouponRequestSchema, create(IssueCouponRequestSchema, init)))
  ),
  fc.record({
    name: fc.string({ unit: "grapheme" }),
    couponLimit: fc.bigInt({ min: 0n, max: 20_000_000n })
  }).map((init) =>
    Buffer.from(
      toBinary(
        CreateCampaignRequestSchema,
        create(CreateCampaignRequestSchema, { ...init, startTime: "2025-06-25T00:00:00Z" })
      )
    )
  )
)

const calls = fc.record({
  method: fc.constantFrom("IssueCoupon", "IssueCoupon", "CreateCampaign", "GetCampaign", "GetCoupon"),
  verb: fc.oneof(
    { weight: 9, arbitrary: fc.constant("POST") },
    { weight: 1, arbitrary: fc.constantFrom("PUT", "HEAD", "DELETE") }
  ),
  content: fc.oneof(
    {
      weight: 6,
      arbitrary: fc.tuple(
        fc.constantFrom(
          "application/json",
          "application/json; charset=utf-8",
          "Application/JSON",
          "application/json;charset=utf8",
          "application/json; charset=\"UTF-8\""
        ),
        fc.oneof(bytes(issueText), bytes(plainText), bytes(createText), bytes(fc.json()), rubbish)
      )
    },
    { weight: 3, arbitrary: fc.tuple(fc.constant("application/proto"), binary) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom("text/plain", "application/json; charset=latin1"), rubbish) }
  ),
  // Either no time at all or more than enough: nothing here depends on how fast the machine is.
  timeout: fc.oneof(
    fc.constant(undefined),
    fc.constantFrom("0", "00", "60000", "9999999999", "99999999999", "1s", "-1", "1.5", "")
  ),
  version: fc.oneof(fc.constant(undefined), fc.constant("1"), fc.constantFrom("2", "v1", "")),
  encoding: fc.oneof(
    { weight: 6, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constantFrom("identity", "gzip", "zstd") }
  ),
  accept: fc.constantFrom(undefined, "gzip", "identity", "br, gzip"),
  chunked: fc.boolean()
})

type Call = typeof calls extends fc.Arbitrary<infer A> ? A : never

const plain: Call = {
  ...{
    method: "IssueCoupon",
    verb: "POST",
    content: ["application/json", Buffer.from("{\"campaignId\":1,\"userId\":9}")],
    chunked: false
  },
  ...{ timeout: undefined, version: undefined, encoding: undefined, accept: undefined }
}
/** Every kind of answer once, whatever is drawn: each outcome of `answer`, a method and a type that are not served. */
const examples: ReadonlyArray<Call> = [
  ...Array.from(
    { length: 9 },
    (_, k): Call => ({ ...plain, content: [plain.content[0], Buffer.from(`{"campaignId":1,"userId":${k + 1}}`)] })
  ),
  { ...plain, verb: "PUT" },
  { ...plain, content: ["text/plain", plain.content[1]] },
  { ...plain, content: [plain.content[0], Buffer.from("{")] },
  { ...plain, timeout: "0" }
]

const ask = (path: string, call: Call) =>
  new Promise<unknown>((resolve, reject) => {
    const [type, body] = call.content
    const headers: Record<string, string | number> = { "content-type": type }
    if (call.timeout !== undefined) headers["connect-timeout-ms"] = call.timeout
    if (call.version !== undefined) headers["connect-protocol-version"] = call.version
    if (call.encoding !== undefined) headers["content-encoding"] = call.encoding
    if (call.accept !== undefined) headers["accept-encoding"] = call.accept
    if (call.chunked) headers["transfer-encoding"] = "chunked"
    else headers["content-length"] = body.length
    const options = { agent, host: "127.0.0.1", port: server.port, method: call.verb, path, headers }
    const sent = http.request(options, (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("end", () =>
        resolve({
          status: response.statusCode,
          type: response.headers["content-type"],
          length: response.headers["content-length"],
          retryAfter: response.headers["retry-after"],
          allow: response.headers.allow,
          body: Buffer.concat(chunks).toString("latin1")
        }))
      response.on("error", reject)
    })
    sent.on("error", reject)
    if (body.length > 0) sent.write(body)
    sent.end()
  })

describe("differential", () => {
  // A query, which the lane does not take, leads the same request to connect-es.
  it("the lane answers as the adapter does, byte for byte", async () => {
    const seen = new Set<unknown>()
    await fc.assert(
      fc.asyncProperty(calls, async (call) => {
        const path = `/coupon.v1.CouponService/${call.method}`
        const [lane, adapter] = [await ask(path, call), await ask(`${path}?`, call)]
        expect(lane).toEqual(adapter)
        seen.add((lane as { status: number }).status)
      }),
      { numRuns: inLongProfile(1_500, 400), examples: examples.map((call): [Call] => [call]) }
    )
    expect([...seen].sort()).toEqual(expect.arrayContaining([200, 400, 405, 409, 415, 429, 500, 504]))
  })

  it("the hand-written codec of IssueCoupon means what protobuf-es means", () => {
    const route = routes.find(({ method }) => method.name === "IssueCoupon")!
    const general = decodeJson(IssueCouponRequestSchema)
    const outcome = (read: (bytes: Uint8Array) => unknown, body: Buffer) => {
      try {
        const { campaignId, userId } = read(body) as { campaignId: number; userId: bigint }
        return { campaignId, userId }
      } catch (error) {
        return error
      }
    }
    const numRuns = inLongProfile(5_000, 1_500)
    let fast = 0
    fc.assert(
      fc.property(bytes(fc.oneof(plainText, issueText)), (body) => {
        expect(outcome(route.decodeJson, body)).toEqual(outcome(general, body))
        try {
          if (!("$typeName" in (route.decodeJson(body) as object))) fast++
        } catch {
          // Refused: both agreed on it above.
        }
      }),
      { numRuns }
    )
    expect(fast).toBeGreaterThan(numRuns / 10)
  })
})

describe("an answer that cannot be written", () => {
  const serve = async (spoil: (response: Response) => void) => {
    const reported: Array<unknown> = []
    const route = { ...routes.find(({ method }) => method.name === "IssueCoupon")!, wantsMetadata: true }
    const server = http.createServer((request, response) => {
      const dispatcher: Dispatcher = {
        inFlight: () => 0,
        clientOf: () => 0,
        clientOfSocket: () => undefined,
        held: Shares.make(1),
        clientOfAddress: () => undefined,
        admits: () => true,
        shed: () => {},
        refused: () => {},
        report: (defect) => reported.push(defect),
        streams: { run: () => { throw new Error("no streams here") } },
        dispatch: ({ answered, metadata }) => {
          // Fetch's Headers take it, Node's do not.
          metadata!.responseHeader.set("x-spoilt", "\u0001")
          spoil(response)
          answered(coupon)
        }
      }
      UnaryLane.make([route], { dispatcher, maxBodyBytes: 1_024, draining: () => false })(request, response)
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.address() as AddressInfo
    const ask = () => request(port, { path: ISSUE, headers: json, body: "{\"campaignId\":1,\"userId\":1}" })
    return { ask, reported, close: () => new Promise((resolve) => server.close(resolve)) }
  }

  it("becomes INTERNAL, and is reported", async () => {
    const { ask, close, reported } = await serve(() => {})
    expect(await ask()).toMatchObject({ status: 500, body: expect.stringContaining("INTERNAL") })
    expect(reported).toMatchObject([{ code: "ERR_INVALID_CHAR" }])
    await close()
  })

  it("ends the connection if not even that can be written", async () => {
    const { ask, close, reported } = await serve((response) => {
      response.writeHead = () => {
        throw new Error("no more headers")
      }
    })
    await expect(ask()).rejects.toMatchObject({ code: "ECONNRESET" })
    expect(reported).toHaveLength(2)
    await close()
  })
})
