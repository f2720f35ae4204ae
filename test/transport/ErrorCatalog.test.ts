import { createClient, Code, ConnectError } from "@connectrpc/connect"
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node"
import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { IssueFailure } from "../../src/domain/Failure.ts"
import * as Failures from "../../src/domain/Failure.ts"
import { CouponSchema, CouponService } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import type { Running } from "./Stub.ts"
import { coupon, ending, ISSUE, issuing, json, request, start } from "./Stub.ts"

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
    failure: new Failures.CouponAlreadyClaimed({ coupon }),
    code: Code.AlreadyExists,
    message: "COUPON_ALREADY_CLAIMED"
  },
  CampaignEnded: { failure: new Failures.CampaignEnded(), code: Code.FailedPrecondition, message: "CAMPAIGN_ENDED" },
  CampaignPaused: { failure: new Failures.CampaignPaused(), code: Code.FailedPrecondition, message: "CAMPAIGN_PAUSED" },
  CouponSoldOut: { failure: new Failures.CouponSoldOut(), code: Code.FailedPrecondition, message: "COUPON_SOLD_OUT" },
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
  DeadlineExceeded: { failure: new Failures.DeadlineExceeded(), code: Code.DeadlineExceeded, message: "DEADLINE_EXCEEDED" },
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
  }
}

let exit: Effect.Effect<never, IssueFailure>
let server: Running
beforeAll(async () => {
  server = await start({ useCases: () => ending(exit) })
})
afterAll(() => server.close())

const protocols = {
  "Connect JSON": () => createConnectTransport({ baseUrl: server.url, httpVersion: "1.1", useBinaryFormat: false }),
  "Connect proto": () => createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" }),
  "Connect JSON over HTTP/2": () => createConnectTransport({ baseUrl: server.url, httpVersion: "2", useBinaryFormat: false }),
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

describe.each(Object.keys(protocols) as Array<keyof typeof protocols>)("%s", (protocol) => {
  const clientOf = () => createClient(CouponService, protocols[protocol]())

  it.each(Object.values(contract))("$message", async ({ code, failure, message, retryAfter }) => {
    const client = clientOf()
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
          failure._tag !== "CouponAlreadyClaimed" ? [] : [
            expect.objectContaining({ campaignId: 1, userId: 1001n, code: coupon.code, issuedAt: "2025-06-25T00:00:00Z" })
          ]
        )
      }
    }
  })

  it("tells nothing of a defect, and logs it", async () => {
    exit = Effect.die(new Error("the secret reason"))
    const error = await failing(() => clientOf().issueCoupon({ campaignId: 1, userId: 1n }))
    expect([error.code, error.rawMessage, error.details]).toEqual([Code.Internal, "INTERNAL_SERVER_ERROR", []])
    expect(server.logs.join()).toContain("the secret reason")
  })
})

it.each(Object.values(contract))("$message has its HTTP status and JSON", async ({ code, failure, message, retryAfter }) => {
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
    expect([reply.status, JSON.parse(reply.body)]).toEqual([500, { code: "internal", message: "INTERNAL_SERVER_ERROR" }])
  }
  expect(broken.logs.join()).toContain("thrown, not died")
  await broken.close()
})
