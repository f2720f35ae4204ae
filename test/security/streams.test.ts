import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect"
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import { type IssueFailure, RecordNotFound, Unavailable } from "../../src/domain/Failure.ts"
import { roles } from "../../src/domain/Role.ts"
import { CouponService } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import * as LongCalls from "../../src/http/protection/LongCalls.ts"
import * as StreamCalls from "../../src/rpc/streams/StreamCalls.ts"
import type { UseCases } from "../../src/rpc/Startup.ts"
import { inLongProfile } from "../support/profile.ts"
import { coupon, echo, start, until } from "../transport/Stub.ts"
import { startSecured } from "./Secured.ts"

const protocols: Record<string, (baseUrl: string, secret?: string) => Transport> = {
  "Connect JSON": (baseUrl, secret) =>
    createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false, interceptors: bearer(secret) }),
  "Connect, h2": (baseUrl, secret) =>
    createConnectTransport({ baseUrl, httpVersion: "2", interceptors: bearer(secret) }),
  gRPC: (baseUrl, secret) => createGrpcTransport({ baseUrl, interceptors: bearer(secret) }),
  "gRPC-Web": (baseUrl, secret) =>
    createGrpcWebTransport({ baseUrl, httpVersion: "1.1", interceptors: bearer(secret) })
}

const bearer = (secret: string | undefined): NonNullable<Parameters<typeof createGrpcTransport>[0]["interceptors"]> =>
  secret === undefined ? [] : [(next) => (call) => {
    call.header.set("authorization", `Bearer ${secret}`)
    return next(call)
  }]

const exportOf = (transport: Transport, options = {}) =>
  createClient(CouponService, transport).exportCoupons({ campaignId: 1, afterNumber: 4 }, options)[
    Symbol.asyncIterator
  ]()

const endOf = async (messages: AsyncIterator<unknown>) => {
  try {
    for (;;) if ((await messages.next()).done === true) return "ended"
  } catch (error) {
    const { code, metadata, rawMessage } = ConnectError.from(error)
    return [Code[code], rawMessage, metadata.get("retry-after")]
  }
}

/** An export of one coupon, and then whatever `then` is; `open` counts those that hold their resources. */
const exporting = (then: Effect.Effect<undefined, IssueFailure>) => {
  const state = { open: 0 }
  const useCases: UseCases = {
    ...echo,
    coupons: {
      ...echo.coupons,
      export: (campaignId, afterNumber) =>
        Effect.gen(function*() {
          yield* Effect.acquireRelease(
            Effect.sync(() => void state.open++),
            () => Effect.sync(() => void state.open--)
          )
          let sent = false
          const next = Effect.suspend(() => {
            if (sent) return then as Effect.Effect<undefined, Unavailable>
            sent = true
            return Effect.succeed([{ ...coupon, campaignId, id: afterNumber + 1, expiresAt: undefined }])
          })
          return { lastNumber: 5, next }
        })
    }
  }
  return { state, useCases }
}

it("ends before its connection is cut", () => {
  expect(StreamCalls.STREAM_MILLIS).toBeLessThan(LongCalls.EXPIRY_MILLIS)
})

// How each protocol writes what a stream ends with, `test/contract/contract.ts` has, too.
describe.each(inLongProfile(Object.keys(protocols), ["Connect JSON", "gRPC"]))("a stream by %s", (protocol) => {
  const transport = protocols[protocol]!

  it("is for VIEWERs", async () => {
    const server = await startSecured()
    const secrets = await Promise.all(roles.map(async (role) => [role, await server.key(role)] as const))
    expect(await endOf(exportOf(transport(server.url)))).toEqual([
      "Unauthenticated", expect.stringMatching(/^UNAUTHENTICATED: this call needs an API key .* VIEWER/), null
    ])
    for (const [role, secret] of secrets) {
      const end = await endOf(exportOf(transport(server.url, secret)))
      const refused = ["PermissionDenied", expect.stringMatching(/^PERMISSION_DENIED: .* rights of VIEWER/), null]
      expect(end, role).toEqual(role === "ISSUER" || role === "REDEEMER" ? refused : "ended")
    }
    await server.close()
  })

  it("ends with the rights of its caller, and lets go of what it holds", async () => {
    const { state, useCases } = exporting(Effect.never)
    const server = await startSecured({}, undefined, useCases)
    const secret = await server.key("VIEWER")
    const messages = exportOf(transport(server.url, secret))
    expect((await messages.next()).value.coupons[0].number).toBe(5)
    expect(state.open).toBe(1)
    await Effect.runPromise(server.apiKeys.revoke(secret.split("_")[1]!, named("test")))
    expect(await endOf(messages)).toEqual([
      "Unauthenticated", expect.stringMatching(/^UNAUTHENTICATED: the API key is .*revoked/), null
    ])
    await until(() => state.open === 0)
    await server.close()
  })

  it("ends when the server drains, so that its caller goes on elsewhere", async () => {
    const { state, useCases } = exporting(Effect.never)
    const server = await start({ useCases: () => useCases })
    const messages = exportOf(transport(server.url))
    expect((await messages.next()).value.lastNumber).toBe(5)
    const closed = server.close()
    expect(await endOf(messages)).toEqual(["Unavailable", "UNAVAILABLE", "1"])
    await closed
    expect(state.open).toBe(0)
  })

  it("has a bound of its own for watches, which end when the server drains", async () => {
    const server = await start({ environment: { MAX_WATCHERS: "4" } })
    const watch = () =>
      createClient(CouponService, transport(server.url)).watchCampaign({ campaignId: 1 })[Symbol.asyncIterator]()
    const watches = [watch(), watch()]
    for (const one of watches) expect((await one.next()).value.message.case).toBe("snapshot")
    expect((await endOf(watch())).slice(0, 2)).toEqual(["ResourceExhausted", "OVERLOADED"])
    expect(await endOf(exportOf(transport(server.url)))).toBe("ended")
    const closed = server.close()
    for (const one of watches) expect(await endOf(one)).toEqual(["Unavailable", "UNAVAILABLE", "1"])
    await closed
  })

  it("ends with its caller, and by the caller's timeout", async () => {
    const { state, useCases } = exporting(Effect.never)
    const server = await start({ useCases: () => useCases })
    const leaving = new AbortController()
    const messages = exportOf(transport(server.url), { signal: leaving.signal })
    await messages.next()
    leaving.abort()
    expect(await endOf(messages)).toEqual(["Canceled", "This operation was aborted", null])
    await until(() => state.open === 0)
    expect((await endOf(exportOf(transport(server.url), { timeoutMs: 300 })))[0]).toBe("DeadlineExceeded")
    await until(() => state.open === 0)
    expect(server.logs.filter((line) => /level=(?:WARN|ERROR)/.test(line))).toEqual([])
    await server.close()
  })

  it("carries its failures, and tells nothing of a defect", async () => {
    for (
      const [then, end] of [
        [Effect.succeed(undefined), "ended"],
        [Effect.fail(new RecordNotFound()), ["NotFound", "RECORD_NOT_FOUND", null]],
        [Effect.fail(new Unavailable({ retryAfterSeconds: 3 })), ["Unavailable", "UNAVAILABLE", "3"]],
        [Effect.die(new Error("the secret reason")), ["Internal", "INTERNAL_SERVER_ERROR", null]]
      ] as const
    ) {
      const { state, useCases } = exporting(then)
      const server = await start({ useCases: () => useCases })
      expect(await endOf(exportOf(transport(server.url)))).toEqual(end)
      await until(() => state.open === 0)
      expect(server.logs.join().includes("the secret reason")).toBe(end[0] === "Internal")
      await server.close()
    }
  })

  it("waits until the stores are there, as every call does", async () => {
    const server = await start({ useCases: () => undefined })
    expect(await endOf(exportOf(transport(server.url)))).toEqual(["Unavailable", "UNAVAILABLE", "1"])
    await server.close()
  })
})
