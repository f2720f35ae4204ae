import { create, toBinary } from "@bufbuild/protobuf"
import { readFileSync } from "node:fs"
import * as http2 from "node:http2"
import { afterAll, beforeAll, expect, it } from "vitest"
import {
  CreateCampaignRequestSchema,
  GetCampaignRequestSchema,
  IssueCouponRequestSchema
} from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { makeClients, protocols } from "../contract/clients.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { inLongProfile } from "../support/profile.ts"
import type { Asked } from "./Mutator.ts"
import { mutate, randomOf } from "./Mutator.ts"
import { overHttp1, overHttp2, type Answer } from "./send.ts"

const REQUESTS = Number(process.env["COUPON_FUZZ_REQUESTS"] ?? inLongProfile(20_000, 2_000))
const SEED = Number(process.env["COUPON_FUZZ_SEED"] ?? Date.now() % 2 ** 32)
const SIDE_BY_SIDE = 16
const ADMIN = "fuzz-admin-key-0123456789abcdef0123456789"

let instance: Instance
beforeAll(async () => {
  instance = await startInstance({ ADMIN_API_KEY: ADMIN, CORS_ORIGINS: "https://shop.example" })
})
afterAll(() => (instance as Instance | undefined)?.stop())

const path = (method: string) => `/coupon.v1.CouponService/${method}`
const envelope = (bytes: Uint8Array, flags = 0) => {
  const head = Buffer.alloc(5)
  head[0] = flags
  head.writeUInt32BE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}

/** Well-formed requests of every protocol: what is fuzzed is what is nearly right. */
const wellFormed = (): ReadonlyArray<Asked> => {
  const claim = toBinary(IssueCouponRequestSchema, create(IssueCouponRequestSchema, { campaignId: 1, userId: 7n }))
  const campaign = { name: "여름", couponLimit: 10n, startTime: "2025-06-25T00:00:00Z" }
  const calls = [
    { method: "IssueCoupon", json: "{\"campaignId\":1,\"userId\":\"7\"}", bytes: claim },
    { method: "GetCoupon", json: "{\"campaignId\":1,\"userId\":7}", bytes: claim },
    {
      method: "GetCampaign",
      json: "{\"campaignId\":1,\"pageSize\":2}",
      bytes: toBinary(GetCampaignRequestSchema, create(GetCampaignRequestSchema, { campaignId: 1 }))
    },
    {
      method: "CreateCampaign",
      json: JSON.stringify({ ...campaign, couponLimit: "10" }),
      bytes: toBinary(CreateCampaignRequestSchema, create(CreateCampaignRequestSchema, campaign))
    }
  ]
  return calls.flatMap(({ bytes, json, method }): ReadonlyArray<Asked> => {
    const with_ = (type: string, body: Buffer, more: Array<readonly [string, string]> = []): Asked => ({
      method: "POST",
      path: path(method),
      headers: [["content-type", type], ["authorization", `Bearer ${ADMIN}`], ...more],
      body
    })
    const query = new URLSearchParams({ connect: "v1", encoding: "json", message: json })
    return [
      with_("application/json", Buffer.from(json)),
      with_("application/json", Buffer.from(json), [["connect-protocol-version", "1"], ["connect-timeout-ms", "3000"]]),
      with_("application/proto", Buffer.from(bytes)),
      with_("application/grpc", envelope(bytes), [["te", "trailers"]]),
      with_("application/grpc+proto", envelope(bytes), [["grpc-timeout", "3S"]]),
      with_("application/grpc-web+proto", envelope(bytes), [["x-grpc-web", "1"]]),
      with_("application/grpc-web+json", envelope(Buffer.from(json))),
      with_("application/connect+proto", envelope(bytes)),
      { method: "GET", path: `${path(method)}?${query}`, headers: [["accept-encoding", "gzip"]], body: Buffer.alloc(0) }
    ]
  })
}

/** What no answer may hold: stack traces, paths, names of what we are made of. */
const LEAK =
  /node_modules|file:\/\/|\bat \S+ \(|\.ts:\d|\.js:\d|TypeError|RangeError|SyntaxError|SQLITE|libsql|ECONN|\/src\//

/** A 5xx that is an answer: an encoding or method that we do not have, a timeout of the caller's own. Never 500. */
const BY_DESIGN = new Set([501, 503, 504, 505])

/**
 * Internal errors that a protocol asks for: gRPC has them for a message that is flagged as compressed without an
 * encoding being named, and connect-es, which alone serves health and reflection, for bytes that are no message.
 */
const ASKED_FOR =
  /received(%20| )compressed(%20| )envelope|(parse|serialize)(%20| )(binary|JSON)|decompression(%20| )failed/i

const verdict = ({ path }: Asked, { body, headers, status }: Answer): string | undefined => {
  const asked = ASKED_FOR.test(body + headers)
  if (asked && (path.startsWith("/grpc.") || /received(%20| )compressed/.test(body + headers))) return undefined
  if (status >= 500 && !BY_DESIGN.has(status)) return `status ${status}`
  if (/INTERNAL_SERVER_ERROR/.test(body + headers)) return "an internal error"
  // gRPC's "unknown" and "internal"
  if (/"?grpc-status"?[:=]\s*"?(2|13)\b/.test(headers + body)) return "an internal gRPC status"
  const leak = LEAK.exec(body + headers)
  return leak === null ? undefined : `a leak: ${leak[0]}`
}

const residentBytes = () =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${instance.pid}/status`, "utf8"))![1]) * 1024

const run = `${REQUESTS} mutated requests over every protocol (COUPON_FUZZ_SEED=${SEED})`
it(`${run}: no crash, no unintended 5xx, no leak, memory bounded`, async () => {
  console.log(`fuzz: COUPON_FUZZ_SEED=${SEED} COUPON_FUZZ_REQUESTS=${REQUESTS}`)
  const random = randomOf(SEED)
  const corpus = wellFormed()
  const offences: Array<string> = []
  const statuses = new Map<number, number>()
  let late = 0
  let session: http2.ClientHttp2Session | undefined
  /** A server that has had enough of a connection says GOAWAY; a fuzzer comes back. */
  const openSession = () => {
    if (session !== undefined && !session.closed && !session.destroyed) return session
    session = http2.connect(instance.url)
    session.on("error", () => {})
    return session
  }
  let sent = 0
  const resident: Array<number> = []
  const worker = async () => {
    while (sent < REQUESTS) {
      if (++sent % Math.ceil(REQUESTS / 10) === 0) resident.push(residentBytes())
      const asked = mutate(random, random.pick(corpus))
      const second = random.chance(0.5)
      const answer = second ? await overHttp2(openSession(), asked) : await overHttp1(instance.port, asked)
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      if (answer.late) late++
      const wrong = verdict(asked, answer)
      if (wrong !== undefined && offences.length < 10) {
        const request = JSON.stringify({ ...asked, body: asked.body.toString("latin1").slice(0, 300) })
        offences.push(
          `${wrong}: ${second ? "HTTP/2" : "HTTP/1.1"} ${request} -> ` +
            `${answer.status} ${answer.headers.slice(0, 300)} ${answer.body.slice(0, 300)}`
                    )
                  }
    }
  }
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker))
  session?.destroy()
  const counts = JSON.stringify(Object.fromEntries([...statuses].sort(([a], [b]) => a - b)))
  console.log(`fuzz: statuses ${counts}, ${late} without an answer in time, ` +
    `MB resident ${resident.map((bytes) => Math.round(bytes / 1e6)).join(" ")}`)

  expect(offences).toEqual([])
  // Most of it was refused, some of it served: a fuzzer that only ever receives 404 tests nothing.
  expect(statuses.get(200)).toBeGreaterThan(REQUESTS / 50)
  expect(statuses.get(400)).toBeGreaterThan(REQUESTS / 50)
  // A request that stops half way waits for its rest; anything else that is not answered hangs.
  expect(late).toBeLessThan(REQUESTS / 20)
  expect(instance.logs()).not.toMatch(/failed unexpectedly|Unhandled|uncaught|MaxListenersExceeded/i)
  for (const protocol of protocols) {
    const clients = makeClients(protocol, [instance.url])
    await expect(clients.next().getCampaign({ campaignId: 2_000_000_000 })).rejects.toThrow("RECORD_NOT_FOUND")
    clients.close()
  }
  // Idle it takes some 90 MB. Some of the mutants are campaigns, which are kept; the heap grows to its working size in
  // the first half.
  const half = resident[Math.floor(resident.length / 2)]!
  expect(residentBytes()).toBeLessThan(Math.max(400e6, half + REQUESTS * 2_500))
}, 60_000 + REQUESTS * 20)
