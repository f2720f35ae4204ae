import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { createClient, Code, ConnectError } from "@connectrpc/connect"
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node"
import { encodeEnvelope } from "@connectrpc/connect/protocol"
import { trailerParse } from "@connectrpc/connect/protocol-grpc-web"
import * as Effect from "effect/Effect"
import * as http2 from "node:http2"
import { gzipSync } from "node:zlib"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as BrowserHeaders from "../../src/http/BrowserHeaders.ts"
import type { UseCases } from "../../src/rpc/Startup.ts"
import {
  CouponService,
  GetCampaignRequestSchema,
  IssueCouponRequestSchema,
  IssueCouponResponseSchema
} from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import type { Running } from "./Stub.ts"
import { campaign, coupon, echo, ISSUE, json, request, start } from "./Stub.ts"

const CREATE = "/coupon.v1.CouponService/CreateCampaign"
const REDEEM = "/coupon.v1.CouponService/RedeemCoupon"
const GET_CAMPAIGN = "/coupon.v1.CouponService/GetCampaign"
const GET_COUPON = "/coupon.v1.CouponService/GetCoupon"
const LIST = "/coupon.v1.CouponService/ListCampaigns"
const STATUS_RULE = "status must be one of " +
  "CAMPAIGN_STATUS_UNSPECIFIED, CAMPAIGN_STATUS_ACTIVE, CAMPAIGN_STATUS_PAUSED, CAMPAIGN_STATUS_ENDED"

const PHASES_RULE = "phases must be a list of " +
  "CAMPAIGN_PHASE_UNSPECIFIED, CAMPAIGN_PHASE_SCHEDULED, CAMPAIGN_PHASE_OPEN, CAMPAIGN_PHASE_SOLD_OUT, " +
  "CAMPAIGN_PHASE_PAUSED, CAMPAIGN_PHASE_ENDED"

let asked: Array<ReadonlyArray<unknown>> = []
const recording: UseCases = {
  ...echo,
  issueCoupon: {
    begin: (...all) => {
      asked.push([all[0].campaignId, all[0].userId, all[0].timeoutMillis])
      echo.issueCoupon.begin(...all)
    },
    claim: echo.issueCoupon.claim
  },
  campaigns: {
    ...echo.campaigns,
    get: (...all) => {
      asked.push(all)
      return all[1] === 2
        ? Effect.succeed({
          campaign: { ...campaign, endTime: Date.UTC(2025, 6, 1), status: "ENDED" },
          coupons: [coupon],
          nextPageToken: "next"
        })
        : echo.campaigns.get(...all)
    }
  }
}

let server: Running
beforeAll(async () => {
  server = await start({ useCases: () => recording })
})
afterAll(() => server.close())

const post = (path: string, body: string | Uint8Array, headers: Record<string, string> = json) =>
  request(server.port, { path, headers, body })

describe("JSON", () => {
  it("has every field, int64 as strings, zero values too", async () => {
    expect((await post(GET_CAMPAIGN, "{\"campaignId\":1}")).body).toBe(
      "{\"id\":1,\"name\":\"여름\",\"couponLimit\":\"1000\",\"currentCoupon\":\"0\"," +
        "\"startTime\":\"2025-06-25T00:00:00Z\"," +
              "\"createdAt\":\"2025-06-24T00:00:00Z\"," +
              "\"updatedAt\":\"2025-06-24T01:02:03.004Z\",\"issuedCoupons\":[]," +
                      "\"issuedCouponsTruncated\":false,\"nextPageToken\":\"\"," +
        "\"status\":\"CAMPAIGN_STATUS_ACTIVE\",\"endTime\":\"\"," +
                "\"version\":\"1\",\"phase\":\"CAMPAIGN_PHASE_OPEN\"," +
                "\"openedAt\":\"2025-06-25T00:00:00Z\",\"soldOutAt\":\"\",\"issuedCouponsWithheld\":false," +
        "\"serverTime\":\"2025-06-26T00:00:00Z\"," +
        "\"remaining\":\"1000\",\"codeSource\":\"CODE_SOURCE_GENERATED\",\"codeCount\":\"0\"," +
        "\"undoWindow\":\"PT24H\",\"returned\":\"0\"}"
    )
    expect(JSON.parse((await post(GET_CAMPAIGN, "{\"campaignId\":1,\"pageSize\":2}")).body)).toMatchObject({
      issuedCoupons: [coupon.code],
      issuedCouponsTruncated: true,
      nextPageToken: "next",
      status: "CAMPAIGN_STATUS_ENDED",
      endTime: "2025-07-01T00:00:00Z"
    })
    expect((await post(ISSUE, "{\"campaignId\":1,\"userId\":1001}")).body).toBe(
      "{\"message\":\"OK\",\"code\":\"가나다라마바사012\",\"issuedAt\":\"2025-06-25T00:00:00Z\",\"number\":1}"
    )
    expect(JSON.parse((await post(GET_COUPON, "{\"campaignId\":1,\"userId\":1001}")).body)).toEqual({
      coupon: {
        campaignId: 1, userId: "1001", code: coupon.code, issuedAt: "2025-06-25T00:00:00Z", number: 1,
        state: "COUPON_STATE_ISSUED"
      }
    })
    expect((await post(CREATE, "{\"name\":\"a\",\"couponLimit\":\"5\",\"startTime\":\"2025-06-25T00:00:00Z\"}")).body)
      .toBe(
        "{\"campaignId\":1}"
      )
  })

  it.each([
    ["9223372036854775807", 9223372036854775807n],
    ["\"9223372036854775807\"", 9223372036854775807n],
    ["9007199254740993", 9007199254740993n],
    ["9007199254740993.000", 9007199254740993n],
    ["9.007199254740993e15", 9007199254740993n],
    ["90071992547409930e-1", 9007199254740993n],
    ["123456789012e7", 1234567890120000000n],
    ["1e3", 1000n],
    ["1.0", 1n],
    ["000", undefined],
    ["1.00000000000000000001", undefined],
    ["9223372036854775808", undefined],
    ["1e300", undefined],
    ["1e-1", undefined],
    ["\"0x10\"", undefined],
    ["\" 1 \"", undefined],
    ["\"\"", undefined],
    ["\"1e3\"", undefined],
    ["true", undefined],
    ["[1]", undefined],
    ["{}", undefined],
    ["1.5", undefined]
  ])("userId %s is read exactly or refused", async (literal, expected) => {
    for (const path of [ISSUE, `${ISSUE}?adapter`]) {
      asked = []
      const reply = await post(path, `{"campaignId":1,"userId":${literal}}`)
      expect(asked.map((all) => all[1])).toEqual(expected === undefined ? [] : [expected])
      expect(reply.status).toBe(expected === undefined ? 400 : 200)
      if (expected !== undefined) continue
      expect(JSON.parse(reply.body).message).toMatch(/^INVALID_ARGUMENT: (userId must be an? |body is not)/)
    }
  })

  it("ignores fields it does not know, takes proto names, and null for the default", async () => {
    asked = []
    await post(ISSUE, "{\"campaign_id\":3,\"user_id\":\"4\",\"coupon\":{\"userId\":[9]},\"x\":null}")
    await post(GET_CAMPAIGN, "{\"campaignId\":5,\"pageSize\":null,\"pageToken\":null}")
    // A caller without a key gets pages of a thousand codes.
    expect(asked).toEqual([[3, 4n, undefined], [5, 1_000, ""]])
  })

  it.each([
    [ISSUE, "", "body is not valid JSON"],
    [ISSUE, "{", "body is not valid JSON"],
    [ISSUE, "{\"campaignId\":1}}", "body is not valid JSON"],
    [ISSUE, "[]", "body must be a JSON object"],
    [ISSUE, "null", "body must be a JSON object"],
    [ISSUE, "1", "body must be a JSON object"],
    [ISSUE, new Uint8Array([0x22, 0xff, 0x22]), "body is not valid UTF-8"],
    [ISSUE, "{\"campaignId\":1,\"campaignId\":1,\"userId\":1}", "body must not repeat a key"],
    [ISSUE, "{\"campaignId\":1,\"campaign_id\":1,\"userId\":1}", "campaignId must be given once"],
    [REDEEM, "{\"campaignId\":1,\"code\":\"a\",\"userId\":1}", "code must be absent with userId"],
    [REDEEM, "{\"campaignId\":1,\"user_id\":1,\"code\":\"a\"}", "code must be absent with userId"],
    [ISSUE, "{}", "campaignId must be a positive 32-bit integer"],
    [ISSUE, "{\"campaignId\":1}", "userId must be a positive 64-bit integer"],
    [ISSUE, "{\"campaignId\":0,\"userId\":1}", "campaignId must be a positive 32-bit integer"],
    [ISSUE, "{\"campaignId\":-1,\"userId\":1}", "campaignId must be a positive 32-bit integer"],
    [ISSUE, "{\"campaignId\":1,\"userId\":-1}", "userId must be a positive 64-bit integer"],
    [ISSUE, "{\"campaignId\":2147483648,\"userId\":1}", "campaignId must be a 32-bit integer"],
    [ISSUE, "{\"campaignId\":\"one\",\"userId\":1}", "campaignId must be an integer"],
    [ISSUE, "{\"campaignId\":1.5,\"userId\":1}", "campaignId must be an integer"],
    [ISSUE, "{\"campaignId\":true,\"userId\":1}", "campaignId must be an integer"],
    [ISSUE, "{\"campaignId\":1,\"userId\":\"x\"}", "userId must be an integer"],
    [ISSUE, "{\"campaignId\":1,\"userId\":9223372036854775808}", "userId must be a 64-bit integer"],
    [CREATE, "{\"name\":1}", "name must be a string"],
    [CREATE, "{\"name\":12345678901234567890}", "name must be a string"],
    [CREATE, "{\"name\":\"\\ud800\"}", "name must be well-formed Unicode"],
    [CREATE, "{\"name\":\" \"}", "name must not be empty"],
    [CREATE, "{\"name\":\"a\",\"couponLimit\":0}", "couponLimit must be 1 to 10000000"],
    [
      CREATE,
      "{\"name\":\"a\",\"couponLimit\":1}",
      "startTime must be a time in RFC 3339, such as 2025-06-25T00:00:00Z"
    ],
    [GET_CAMPAIGN, "{\"campaignId\":1,\"pageSize\":-1}", "pageSize must not be negative"],
    [GET_COUPON, "{\"campaignId\":1}", "userId must be a positive 64-bit integer"],
    [LIST, "{\"status\":\"ACTIVE\"}", STATUS_RULE],
    [LIST, "{\"status\":\"1\"}", STATUS_RULE],
    [LIST, "{\"status\":[]}", STATUS_RULE],
    [LIST, "{\"status\":true}", STATUS_RULE],
    [LIST, "{\"status\":1.5}", STATUS_RULE],
    [LIST, "{\"status\":1e300}", STATUS_RULE],
    [LIST, "{\"status\":9}", "status must be one that campaigns have"],
    [LIST, "{\"phases\":[\"OPEN\"]}", PHASES_RULE],
    [LIST, "{\"phases\":[\"CAMPAIGN_PHASE_OPEN\",\"open\"]}", PHASES_RULE],
    [LIST, "{\"phases\":\"CAMPAIGN_PHASE_OPEN\"}", PHASES_RULE],
    [LIST, "{\"phases\":[null]}", PHASES_RULE],
    [LIST, "{\"phases\":{}}", PHASES_RULE],
    [LIST, "{\"phases\":[1.5]}", PHASES_RULE],
    [LIST, "{\"phases\":[2,9]}", "phases must be some that campaigns have"],
    [LIST, "{\"phases\":[0]}", "phases must be some that campaigns have"],
    [CREATE, "{\"nmae\":1}", "nmae is not a field of this call: did you mean name?"],
    [CREATE, "{\"name\":\"a\",\"start\":1}", "start is not a field of this call: did you mean startTime?"],
    [
      CREATE,
      "{\"colour\":1}",
      "colour is not a field of this call: it takes name, couponLimit, startTime, endTime, allowPastEnd, requestId, " +
        "codeFormat, codeSource, couponValidity, undoWindow"
    ],
    [
      CREATE,
      "{\"\":1}",
      "\"\" is not a field of this call: it takes name, couponLimit, startTime, endTime, allowPastEnd, requestId, " +
        "codeFormat, codeSource, couponValidity, undoWindow"
    ],
    [CREATE, "{\"\\u202ename\":1}", "\"\\u202ename\" is not a field of this call: did you mean name?"],
    [CREATE, `{"${"xy".repeat(500)}":1}`,
      `"${"xy".repeat(20)}..." is not a field of this call: ` +
        "it takes name, couponLimit, startTime, endTime, allowPastEnd, requestId, " +
        "codeFormat, codeSource, couponValidity, undoWindow"]
  ])("%s %s: %s", async (path, body, reason) => {
    for (const way of [path, `${path}?adapter`]) {
      const reply = await post(way, body)
      expect([reply.status, JSON.parse(reply.body)]).toEqual([
        400,
        { code: "invalid_argument", message: `INVALID_ARGUMENT: ${reason}` }
      ])
    }
  })
})

describe("protobuf", () => {
  const proto = { "content-type": "application/proto" }

  it("reads and writes", async () => {
    const body = toBinary(IssueCouponRequestSchema, create(IssueCouponRequestSchema, { campaignId: 7, userId: 8n }))
    const response = await fetch(server.url + ISSUE, { method: "POST", headers: proto, body })
    expect(response.headers.get("content-type")).toBe("application/proto")
    expect(fromBinary(IssueCouponResponseSchema, new Uint8Array(await response.arrayBuffer()))).toMatchObject({
      message: "OK"
    })
  })

  it.each([ISSUE, `${ISSUE}?adapter`])("refuses rubbish on %s", async (path) => {
    const reply = await post(path, new Uint8Array([8]), proto)
    expect([reply.status, JSON.parse(reply.body)]).toEqual([
      400,
      { code: "invalid_argument", message: "INVALID_ARGUMENT: body is not a valid protobuf message" }
    ])
  })
})

/** A gRPC call whose message is these bytes; resolves with its trailers. */
const grpc = (message: Uint8Array, headers: Record<string, string> = {}) =>
  new Promise<Record<string, unknown>>((resolve, reject) => {
    const session = http2.connect(server.url)
    session.on("error", reject)
    const stream = session.request({
      ":method": "POST",
      ":path": ISSUE,
      "content-type": "application/grpc+proto",
      te: "trailers",
      ...headers
    })
    let status: Record<string, unknown> = {}
    stream.on("response", (fields) => (status = { ...status, ...fields }))
    stream.on("trailers", (fields) => (status = { ...status, ...fields }))
    stream.on("close", () => {
      session.close()
      resolve(status)
    })
    stream.resume()
    stream.end(message)
  })

describe("gRPC and gRPC-Web", () => {
  it("refuse rubbish by our message", async () => {
    const body = encodeEnvelope(0, new Uint8Array([8]))
    expect(await grpc(body)).toMatchObject({
      "grpc-status": "3",
      "grpc-message": encodeURIComponent("INVALID_ARGUMENT: body is not a valid protobuf message")
    })
    const reply = await fetch(server.url + ISSUE, {
      method: "POST",
      headers: { "content-type": "application/grpc-web+proto" },
      body: body as Uint8Array<ArrayBuffer>
    })
    const trailer = trailerParse(new Uint8Array(await reply.arrayBuffer()).subarray(5))
    expect([trailer.get("grpc-status"), trailer.get("grpc-message")]).toEqual([
      "3",
      encodeURIComponent("INVALID_ARGUMENT: body is not a valid protobuf message")
    ])
  })

  it("refuse a malformed timeout and too large a message", async () => {
    const message = encodeEnvelope(0, new Uint8Array(0))
    expect(await grpc(message, { "grpc-timeout": "soon" })).toMatchObject({
      "grpc-status": "3",
      "grpc-message": expect.stringMatching(/^INVALID_ARGUMENT/)
    })
    expect(await grpc(encodeEnvelope(0, new Uint8Array(70_000)))).toMatchObject({
      "grpc-status": "8",
      "grpc-message": encodeURIComponent("INVALID_ARGUMENT: body must be at most 65536 bytes")
    })
  })

  it("take chunks of codes that are larger than other bodies, and no more than 1 MiB", async () => {
    const path = "/coupon.v1.CouponService/AppendCodes"
    const body = (codes: number, size: number) =>
      JSON.stringify({ campaignId: 1, importId: 1, chunkIndex: 0, codes: Array(codes).fill("x".repeat(size)) })
    const tooLarge = { code: "resource_exhausted", message: "INVALID_ARGUMENT: body must be at most 1048576 bytes" }
    for (const url of [path, `${path}?`]) {
      const large = await request(server.port, { path: url, headers: json, body: body(10_000, 60) })
      expect(large.body).not.toContain("body must be at most")
      const huge = await request(server.port, { path: url, headers: json, body: body(10_000, 110) })
      expect(JSON.parse(huge.body)).toEqual(tooLarge)
    }
    const other = await request(server.port, { path: GET_CAMPAIGN, headers: json, body: body(1, 70_000) })
    expect(JSON.parse(other.body).message).toBe("INVALID_ARGUMENT: body must be at most 65536 bytes")
  })

  it("read user ids of more than 53 bits", async () => {
    asked = []
    const client = createClient(CouponService, createGrpcTransport({ baseUrl: server.url }))
    await client.issueCoupon({ campaignId: 1, userId: 9223372036854775807n })
    expect(asked[0]!.slice(0, 2)).toEqual([1, 9223372036854775807n])
  })

  it("end after the caller's timeout", async () => {
    const slow = await start({
      useCases: () => ({ ...echo, campaigns: { ...echo.campaigns, get: () => Effect.never } })
    })
    const transports = [
      createGrpcTransport({ baseUrl: slow.url }),
      createConnectTransport({ baseUrl: slow.url, httpVersion: "1.1" })
    ]
    for (const transport of transports) {
      const error = await createClient(CouponService, transport).getCampaign({ campaignId: 1 }, { timeoutMs: 30 })
        .then(() => undefined, ConnectError.from)
      expect(error?.code).toBe(Code.DeadlineExceeded)
    }
    const reply = await request(slow.port, {
      path: GET_CAMPAIGN,
      headers: { ...json, "connect-timeout-ms": "10" },
      body: "{\"campaignId\":1}"
    })
    expect([reply.status, JSON.parse(reply.body).message]).toEqual([504, "DEADLINE_EXCEEDED"])
    await slow.close()
  })
})

it("REQUEST_TIMEOUT ends a read as UNAVAILABLE and a write as OUTCOME_UNKNOWN", async () => {
  const never = {
    ...echo.campaigns,
    create: () => Effect.never,
    get: () => Effect.uninterruptible(Effect.never),
    getCoupon: () => Effect.never,
    pause: () => Effect.uninterruptible(Effect.never)
  }
  const slow = await start({
    useCases: () => ({ ...echo, campaigns: never }),
    environment: { REQUEST_TIMEOUT: "100 millis" }
  })
  const message = async (path: string, body: string) =>
    JSON.parse((await request(slow.port, { path, headers: json, body })).body).message
  expect(await message(GET_CAMPAIGN, "{\"campaignId\":1}")).toBe("UNAVAILABLE")
  expect(await message(GET_COUPON, "{\"campaignId\":1,\"userId\":1}")).toBe("UNAVAILABLE")
  expect(await message("/coupon.v1.CouponService/PauseCampaign", "{\"campaignId\":1}")).toBe("OUTCOME_UNKNOWN")
  expect(await message(CREATE, "{\"name\":\"a\",\"couponLimit\":1,\"startTime\":\"2025-06-25T00:00:00Z\"}"))
    .toBe("OUTCOME_UNKNOWN")
  await slow.close()
})

it("REQUEST_TIMEOUT ends an act whose caller was not admitted yet as UNAVAILABLE: nothing was begun", async () => {
  const failed: Array<string> = []
  const guard: typeof echo.guard = {
    ...echo.guard,
    admit: () => Effect.never,
    actFailed: (_, __, reason) => void failed.push(reason)
  }
  const slow = await start({ useCases: () => ({ ...echo, guard }), environment: { REQUEST_TIMEOUT: "100 millis" } })
  const reply = await request(slow.port, { path: CREATE, headers: json, body: "{\"name\":\"a\",\"couponLimit\":1}" })
  expect([reply.status, JSON.parse(reply.body).message, failed]).toEqual([503, "UNAVAILABLE", []])
  await slow.close()
})

describe("timeouts and versions", () => {
  it("hands the caller's timeout to the claim", async () => {
    asked = []
    await post(ISSUE, "{\"campaignId\":1,\"userId\":1}", { ...json, "connect-timeout-ms": "1234" })
    await post(ISSUE, "{\"campaignId\":1,\"userId\":1}", { ...json, "connect-timeout-ms": "9999999999" })
    await post(`${ISSUE}?adapter`, "{\"campaignId\":1,\"userId\":1}", { ...json, "connect-timeout-ms": "9999999999" })
    expect(asked.slice(0, 2).map((all) => all[2])).toEqual([1234, 2_147_483_647])
    expect(asked[2]![2]).toBeGreaterThan(2_147_000_000)
  })

  it.each([ISSUE, `${ISSUE}?adapter`])("%s refuses a zero or malformed timeout and a wrong version", async (path) => {
    asked = []
    const body = "{\"campaignId\":1,\"userId\":1}"
    const tell = async (headers: Record<string, string>) => {
      const reply = await post(path, body, { ...json, ...headers })
      return [reply.status, JSON.parse(reply.body).message]
    }
    expect(await tell({ "connect-timeout-ms": "0" })).toEqual([504, "DEADLINE_EXCEEDED"])
    expect(await tell({ "connect-timeout-ms": "1s" })).toEqual([
      400,
      expect.stringMatching(/^INVALID_ARGUMENT: .*timeout/)
    ])
    expect(await tell({ "connect-protocol-version": "2" })).toEqual([
      400,
      "INVALID_ARGUMENT: Connect-Protocol-Version must be \"1\": got \"2\""
    ])
    expect(asked).toEqual([])
  })
})

describe("Connect GET", () => {
  const get = (path: string, query: string) => request(server.port, { method: "GET", path: `${path}?${query}` })
  const message = encodeURIComponent("{\"campaignId\":6}")

  it("serves what has no side effects", async () => {
    asked = []
    expect(JSON.parse((await get(GET_CAMPAIGN, `connect=v1&encoding=json&message=${message}`)).body)).toMatchObject({
      id: 6
    })
    const binary = Buffer.from(toBinary(GetCampaignRequestSchema, create(GetCampaignRequestSchema, { campaignId: 7 })))
    expect((await get(GET_CAMPAIGN, `encoding=proto&base64=1&message=${binary.toString("base64url")}`)).status)
      .toBe(200)
    expect(asked.map((all) => all[0])).toEqual([6, 7])
  })

  it("refuses bad messages by name", async () => {
    const refusals = [
      [`encoding=json&message=%7B`, "INVALID_ARGUMENT: body is not valid JSON"],
      [`connect=v2&encoding=json&message=${message}`, "INVALID_ARGUMENT: connect must be \"v1\": got \"v2\""],
      ["encoding=proto&base64=1&message=!!!", "INVALID_ARGUMENT: message is not valid base64"],
      ["encoding=proto&message=%08", "INVALID_ARGUMENT: body is not a valid protobuf message"],
      [`encoding=json&message=%7B%22campaignId%22:%22x%22%7D`, "INVALID_ARGUMENT: campaignId must be an integer"]
    ] as const
    for (const [query, expected] of refusals) {
      const reply = await get(GET_CAMPAIGN, query)
      expect([reply.status, JSON.parse(reply.body).message]).toEqual([400, expected])
    }
  })

  it("is not for IssueCoupon", async () => {
    asked = []
    const reply = await get(ISSUE, `encoding=json&message=${message}`)
    expect([reply.status, reply.headers.allow]).toEqual([405, "POST"])
    expect(asked).toEqual([])
  })
})

describe("limits", () => {
  const MAX = 65_536
  const padded = (size: number) => "{\"campaignId\":1,\"userId\":1}".padEnd(size, " ")
  const gzipped = { ...json, "content-encoding": "gzip" }
  const tooLarge = [429, {
    code: "resource_exhausted",
    message: "INVALID_ARGUMENT: body must be at most 65536 bytes"
  }] as const

  it.each([ISSUE, `${ISSUE}?adapter`])("%s counts bytes, with and without a content-length", async (path) => {
    for (const chunked of [false, true]) {
      const send = async (body: string) => {
        const reply = await request(server.port, { path, headers: json, body, chunked })
        return [reply.status, JSON.parse(reply.body)]
      }
      expect((await send(padded(MAX)))[0]).toBe(200)
      expect(await send(padded(MAX + 1))).toEqual(tooLarge)
      // 22,000 characters, but 66,000 bytes.
      expect(await send(`{"x":"${"가".repeat(22_000)}"}`)).toEqual(tooLarge)
    }
  })

  it("counts again after decompression", async () => {
    const reply = await post(ISSUE, gzipSync(padded(MAX)), gzipped)
    expect(reply.status).toBe(200)
    const bomb = await post(ISSUE, gzipSync(padded(10_000_000)), gzipped)
    expect([bomb.status, JSON.parse(bomb.body)]).toEqual(tooLarge)
    const rubbish = await post(ISSUE, "not gzip", gzipped)
    expect([rubbish.status, JSON.parse(rubbish.body).message]).toEqual([400, "INVALID_ARGUMENT: decompression failed"])
  })

  it("answers an HTTP/2 client that is still sending, and keeps its connection", async () => {
    const other = await start()
    const session = http2.connect(other.url)
    const send = (path: string, body: string) =>
      new Promise<unknown>((resolve, reject) => {
        const stream = session.request({ ":method": "POST", ":path": path, ...json })
        const chunks: Array<Buffer> = []
        stream.on("data", (chunk: Buffer) => chunks.push(chunk))
        stream.on("error", reject)
        stream.on("close", () => resolve(JSON.parse(Buffer.concat(chunks).toString()).message))
        stream.end(body)
      })
    for (const path of [ISSUE, `${ISSUE}?adapter`]) {
      expect(await send(path, padded(1_000_000))).toBe(tooLarge[1].message)
    }
    expect(await send(ISSUE, padded(100))).toBe("OK")
    const closed = new Promise((resolve) => session.once("close", resolve))
    // No stream is left behind, or this would wait until SHUTDOWN_TIMEOUT and break the session off.
    await other.close()
    await closed
    expect(session.destroyed).toBe(true)
  })

  it("bounds headers", async () => {
    expect((await post(ISSUE, "{}", { ...json, "x-large": "x".repeat(20_000) })).status).toBe(431)
  })
})

describe("elsewhere", () => {
  it("404 says where the RPCs are", async () => {
    for (const path of ["/nope", "/coupon.v1.CouponService/Nope", `${ISSUE}/`, "//", "*"]) {
      const reply = await post(path, "{}")
      expect([reply.status, reply.headers["content-type"]]).toEqual([404, "application/json"])
      expect(JSON.parse(reply.body).message).toContain("/coupon.v1.CouponService/")
    }
  })

  it("405 says what is allowed, 415 what is understood", async () => {
    const put = await request(server.port, { method: "PUT", path: GET_CAMPAIGN, headers: json, body: "{}" })
    expect([put.status, put.headers.allow]).toEqual([405, "POST, GET"])
    const form = await post(ISSUE, "campaignId=1", { "content-type": "application/x-www-form-urlencoded" })
    expect([form.status, form.headers["accept-post"]]).toEqual([415, expect.stringContaining("application/json")])
    expect((await request(server.port, { path: "/livez", body: "" })).headers.allow).toBe("GET, HEAD")
  })

  it("a hint at the root, and mounts by prefix", async () => {
    expect((await request(server.port, { method: "GET", path: "/" })).body).toContain(ISSUE)
    const answer = (text: string) => (_: unknown, response: { end: (text: string) => void }) => response.end(text)
    const other = await start({ mounts: { "/a": answer("a"), "/a/b": answer("ab") } as never })
    const read = async (path: string) => (await request(other.port, { method: "GET", path })).body
    expect([await read("/a"), await read("/a/x?y"), await read("/a/b/c")]).toEqual(["a", "a", "ab"])
    expect((await request(other.port, { method: "GET", path: "/ab" })).status).toBe(404)
    await other.close()
  })

  it("a mount's own headers for browsers, and the API's for all else", async () => {
    const handler = (_: unknown, response: { end: (text: string) => void }) => response.end("page")
    const headers = BrowserHeaders.make("default-src 'self'", "max-age=60")
    const other = await start({ mounts: { "/page": { handler, headers }, "/plain": handler } as never })
    const read = async (path: string) => {
      const reply = await request(other.port, { method: "GET", path })
      return [
        reply.headers["content-security-policy"],
        reply.headers["cache-control"],
        reply.headers["x-content-type-options"]
      ]
    }
    const api = ["default-src 'none'; frame-ancestors 'none'", "no-store", "nosniff"]
    expect(await read("/page/below")).toEqual(["default-src 'self'", "max-age=60", "nosniff"])
    for (const path of ["/plain", "/", "/livez", "/nowhere"]) expect(await read(path)).toEqual(api)
    await other.close()
  })
})
