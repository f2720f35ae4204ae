import { type Client, createClient, Code, ConnectError } from "@connectrpc/connect"
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node"
import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect"
import * as Effect from "effect/Effect"
import { readdirSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Coupon } from "../../src/domain/Coupon.ts"
import type { IssueFailure } from "../../src/domain/Failure.ts"
import * as Failures from "../../src/domain/Failure.ts"
import { issuedCoupon, redeemedCoupon, revokedCoupon } from "../../src/domain/redemption/Redemption.ts"
import * as CouponDetail from "../../src/contract/CouponDetail.ts"
import { decode, table, tagOf, type WireFailure } from "../../src/contract/FailureTable.ts"
import { CouponSchema, CouponService, CouponState } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { inLongProfile } from "../support/profile.ts"
import type { Running } from "./Stub.ts"
import { coupon, ending, ISSUE, issuing, json, request, start } from "./Stub.ts"

const root = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../..")
const filesIn = (folder: string, ending: string): ReadonlyArray<string> =>
  readdirSync(Path.join(root, folder)).filter((file) => file.endsWith(ending)).map((file) => `${folder}/${file}`)

interface Expected {
  readonly failure: IssueFailure
  readonly code: Code
  readonly message: string
  readonly retryAfter?: string
}

/** The contract, written down a second time on purpose. */
const contract: { readonly [Tag in IssueFailure["_tag"]]: Expected } = {
  InvalidArgument: {
    failure: new Failures.InvalidArgument({ field: "userId", reason: "must be nice" }),
    code: Code.InvalidArgument,
    message: "INVALID_ARGUMENT: userId must be nice"
  },
  RecordNotFound: { failure: new Failures.RecordNotFound(), code: Code.NotFound, message: "RECORD_NOT_FOUND" },
  CampaignNotStarted: {
    failure: new Failures.CampaignNotStarted(),
    code: Code.FailedPrecondition,
    message: "CAMPAIGN_NOT_STARTED"
  },
  CouponAlreadyClaimed: {
    failure: new Failures.CouponAlreadyClaimed({ coupon: { ...coupon, expiresAt: Date.UTC(2030, 0) } }),
    code: Code.AlreadyExists,
    message: "COUPON_ALREADY_CLAIMED"
  },
  CampaignEnded: { failure: new Failures.CampaignEnded(), code: Code.FailedPrecondition, message: "CAMPAIGN_ENDED" },
  CampaignPaused: { failure: new Failures.CampaignPaused(), code: Code.FailedPrecondition, message: "CAMPAIGN_PAUSED" },
  CouponSoldOut: { failure: new Failures.CouponSoldOut(), code: Code.FailedPrecondition, message: "COUPON_SOLD_OUT" },
  CodesExhausted: {
    failure: new Failures.CodesExhausted(),
    code: Code.FailedPrecondition,
    message: "CODES_EXHAUSTED"
  },
  CouponRedeemed: {
    failure: new Failures.CouponRedeemed({
      coupon: redeemedCoupon(coupon, undefined, { at: Date.UTC(2025, 6, 1), terminalId: "till 7" })
    }),
    code: Code.AlreadyExists,
    message: "COUPON_REDEEMED"
  },
  CouponExpired: {
    failure: new Failures.CouponExpired({ coupon: issuedCoupon(coupon, Date.UTC(2125, 6, 1), Infinity) }),
    code: Code.FailedPrecondition,
    message: "COUPON_EXPIRED"
  },
  CouponRevoked: {
    failure: new Failures.CouponRevoked({ coupon: revokedCoupon(coupon, undefined, { at: Date.UTC(2025, 6, 2) }) }),
    code: Code.FailedPrecondition,
    message: "COUPON_REVOKED"
  },
  Overloaded: {
    failure: new Failures.Overloaded({ retryAfterSeconds: 0.2 }),
    code: Code.ResourceExhausted,
    message: "OVERLOADED",
    retryAfter: "1"
  },
  Unavailable: {
    failure: new Failures.Unavailable({ retryAfterSeconds: 2, cause: new Error("mysql://root:secret@db") }),
    code: Code.Unavailable,
    message: "UNAVAILABLE",
    retryAfter: "2"
  },
  OutcomeUnknown: { failure: new Failures.OutcomeUnknown(), code: Code.Aborted, message: "OUTCOME_UNKNOWN" },
  Conflict: { failure: new Failures.Conflict(), code: Code.Aborted, message: "CONFLICT" },
  DeadlineExceeded: {
    failure: new Failures.DeadlineExceeded(),
    code: Code.DeadlineExceeded,
    message: "DEADLINE_EXCEEDED"
  },
  Unauthenticated: {
    failure: new Failures.Unauthenticated({ reason: "send a key" }),
    code: Code.Unauthenticated,
    message: "UNAUTHENTICATED: send a key"
  },
  PermissionDenied: {
    failure: new Failures.PermissionDenied({ reason: "needs more" }),
    code: Code.PermissionDenied,
    message: "PERMISSION_DENIED: needs more"
  },
  RateLimited: {
    failure: new Failures.RateLimited({ retryAfterSeconds: 0.4 }),
    code: Code.ResourceExhausted,
    message: "RATE_LIMITED",
    retryAfter: "1"
  },
  WebhooksOff: { failure: new Failures.WebhooksOff(), code: Code.FailedPrecondition, message: "WEBHOOKS_OFF" }
}

/** What the coupon says in the details of failures that have one. */
const details: { readonly [Tag in IssueFailure["_tag"]]?: object } = {
  CouponAlreadyClaimed: {},
  CouponRedeemed: { state: CouponState.REDEEMED, redeemedAt: "2025-07-01T00:00:00Z", terminalId: "till 7" },
  CouponExpired: { state: CouponState.EXPIRED, expiresAt: "2125-07-01T00:00:00Z" },
  CouponRevoked: { state: CouponState.REVOKED, revokedAt: "2025-07-02T00:00:00Z" }
}

/** The fields of a failure as a client can know them: whole seconds, no cause, and no number of a coupon. */
const visible = ({ ...fields }: WireFailure | IssueFailure): unknown => {
  const { cause: _, coupon, retryAfterSeconds, ...rest } = fields as Record<string, unknown> & {
    readonly coupon?: Coupon
  }
  const { id: __, ...held } = coupon ?? { id: undefined }
  return {
    ...rest,
    ...coupon === undefined ? {} : { coupon: held },
    ...retryAfterSeconds === undefined ? {} : { retryAfterSeconds: Math.max(1, Math.ceil(Number(retryAfterSeconds))) }
  }
}

/** A failure as a client decodes it. */
const decoded = (error: ConnectError): WireFailure | undefined =>
  decode(error.rawMessage, {
    retryAfterSeconds: Number(error.metadata.get("retry-after") ?? 0),
    coupon: CouponDetail.decode(error.details)
  })

describe("the table of failures", () => {
  it("has the codes and messages of the contract, each message once", () => {
    const { InternalServerError, ...failures } = table
    expect(InternalServerError).toMatchObject({ code: "Internal", message: "INTERNAL_SERVER_ERROR" })
    expect(Object.keys(failures).sort()).toEqual(Object.keys(contract).sort())
    for (const [tag, { code, message }] of Object.entries(contract)) {
      const entry = table[tag as keyof typeof contract]
      expect([entry.code, entry.message]).toEqual([Code[code], message.split(":")[0]])
      expect(tagOf(entry.message)).toBe(tag)
    }
  })

  it("reads nothing from another server's message, nor from one that lacks what it has to carry", () => {
    const nothing = { retryAfterSeconds: 0, coupon: undefined }
    for (const text of ["", "HTTP 502", "INVALID", "toString", "COUPON_ALREADY_CLAIMED"]) {
      expect(decode(text, nothing)).toBeUndefined()
    }
  })

  // k6 scripts, alerts and dashboards cannot import the table.
  it.each([
    ...filesIn("test/load", ".js"),
    ...filesIn("deploy/observability", ".yml"),
    ...filesIn("deploy/observability/grafana/dashboards", ".json")
  ])("has every message that %s names", (file) => {
    const text = readFileSync(Path.join(root, file), "utf8")
    const outcomes = [
      ...Array.from(text.matchAll(/outcome(?:=~?|![=~])\\?"([A-Z_|]+)\\?"/g), ([, names]) => names!.split("|")).flat(),
      ...Array.from(text.matchAll(/message === "([A-Z_]+)"/g), ([, name]) => name!)
    ]
    expect(outcomes.filter((name) => name !== "OK" && tagOf(name) === undefined)).toEqual([])
  })
})

let exit: Effect.Effect<never, IssueFailure>
let server: Running
beforeAll(async () => {
  server = await start({ useCases: () => ending(exit) })
})
afterAll(() => server.close())

const protocols = {
  "Connect JSON": () => createConnectTransport({ baseUrl: server.url, httpVersion: "1.1", useBinaryFormat: false }),
  "Connect proto": () => createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" }),
  "Connect JSON over HTTP/2": () =>
    createConnectTransport({ baseUrl: server.url, httpVersion: "2", useBinaryFormat: false }),
  "Connect compressed": () =>
    createConnectTransport({ baseUrl: server.url, httpVersion: "1.1", sendCompression: gzip, compressMinBytes: 0 }),
  "gRPC": () => createGrpcTransport({ baseUrl: server.url }),
  "gRPC JSON": () => createGrpcTransport({ baseUrl: server.url, useBinaryFormat: false }),
  "gRPC-Web": () => createGrpcWebTransport({ baseUrl: server.url, httpVersion: "1.1" }),
  "gRPC-Web over HTTP/2": () => createGrpcWebTransport({ baseUrl: server.url, httpVersion: "2" })
}
const { compressionGzip: gzip } = await import("@connectrpc/connect-node")

const failing = async (call: () => Promise<unknown>): Promise<ConnectError> => {
  try {
    await call()
  } catch (error) {
    if (error instanceof ConnectError) return error
    throw error
  }
  throw new Error("the call succeeded")
}

/** A failure that is there at once, and one that comes later: the dispatcher has a way for each. */
const timings = {
  "at once": (failure: IssueFailure) => Effect.fail(failure),
  "later": (failure: IssueFailure) => Effect.zipRight(Effect.yieldNow(), Effect.fail(failure))
}

const all = Object.keys(protocols) as Array<keyof typeof protocols>
/** One of each way to write an error: the others write the same, over another connection or in another format. */
const some: typeof all = ["Connect JSON", "Connect proto", "gRPC", "gRPC-Web"]

describe.each(inLongProfile(all, some))("%s", (protocol) => {
  let client: Client<typeof CouponService>
  beforeAll(() => {
    client = createClient(CouponService, protocols[protocol]())
  })

  it.each(Object.values(contract))("$message", async ({ code, failure, message, retryAfter }) => {
    const calls = [
      () => client.issueCoupon({ campaignId: 1, userId: 1n }),
      () => client.getCampaign({ campaignId: 1 }),
      () => client.getCoupon({ campaignId: 1, userId: 1n }),
      () => client.createCampaign({ name: "a", couponLimit: 1n, startTime: "2025-06-25T00:00:00Z" })
    ]
    for (const timing of Object.values(timings)) {
      exit = timing(failure)
      for (const call of calls) {
        const error = await failing(call)
        expect([Code[error.code], error.rawMessage]).toEqual([Code[code], message])
        expect(error.metadata.get("retry-after")).toBe(retryAfter ?? null)
        expect(error.findDetails(CouponSchema)).toEqual(
          details[failure._tag] === undefined ? [] : [
            expect.objectContaining({
              campaignId: 1,
              userId: 1001n,
              code: coupon.code,
              issuedAt: "2025-06-25T00:00:00Z",
              number: 1,
              ...details[failure._tag]
            })
          ]
        )
        expect(visible(decoded(error)!)).toEqual(visible(failure))
      }
    }
  })

  it("tells nothing of a defect, and logs it", async () => {
    exit = Effect.die(new Error("the secret reason"))
    const error = await failing(() => client.issueCoupon({ campaignId: 1, userId: 1n }))
    expect([error.code, error.rawMessage, error.details]).toEqual([Code.Internal, "INTERNAL_SERVER_ERROR", []])
    expect(decoded(error)).toMatchObject({ _tag: "InternalServerError" })
    expect(server.logs.join()).toContain("the secret reason")
  })
})

it.each(Object.values(contract))("$message has its HTTP status and JSON", async (expected) => {
  const { code, failure, message, retryAfter } = expected
  exit = Effect.fail(failure)
  const reply = await request(server.port, { path: ISSUE, headers: json, body: "{\"campaignId\":1,\"userId\":1}" })
  expect(reply.status).toBe(codeToHttpStatus(code))
  expect(reply.headers["retry-after"]).toBe(retryAfter)
  expect(reply.headers["content-type"]).toBe("application/json")
  expect(JSON.parse(reply.body)).toMatchObject({ message })
  expect(reply.body).not.toContain("secret")
})

it("a defect while building the call is answered, too", async () => {
  const broken = await start({
    useCases: () => ({
      ...ending(exit),
      issueCoupon: issuing(() => {
        throw new Error("thrown, not died")
      })
    })
  })
  for (const path of [ISSUE, `${ISSUE}?adapter`]) {
    const reply = await request(broken.port, { path, headers: json, body: "{\"campaignId\":1,\"userId\":1}" })
    expect([reply.status, JSON.parse(reply.body)]).toEqual([500, {
      code: "internal",
      message: "INTERNAL_SERVER_ERROR"
    }])
  }
  expect(broken.logs.join()).toContain("thrown, not died")
  await broken.close()
})
