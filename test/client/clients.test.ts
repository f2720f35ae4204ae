import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { createServer, type RequestListener, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { CouponClient } from "../../src/client/CouponClient.ts"
import * as CouponClients from "../../src/client/CouponClient.ts"
import { OperatorClient } from "../../src/client/OperatorClient.ts"
import * as OperatorClients from "../../src/client/OperatorClient.ts"
import { PATH } from "../../src/contract/OperatorRpcs.ts"
import type { IssueFailure } from "../../src/domain/Failure.ts"
import * as Failures from "../../src/domain/Failure.ts"
import { coupon, ending, start, type Running } from "../transport/Stub.ts"

const claim = Effect.flatMap(CouponClient, (client) => client.issueCoupon({ campaignId: 1, userId: 1n }))
const look = Effect.flatMap(CouponClient, (client) => client.getCoupon({ campaignId: 1, userId: 1n }))
const info = Effect.flatMap(OperatorClient, (client) => client.Info())
const revoke = Effect.flatMap(OperatorClient, (client) => client.RevokeKey({ id: "x" }))

const failing = <E, R>(call: Effect.Effect<unknown, E, R>, layer: Layer.Layer<R>): Promise<E> =>
  Effect.runPromise(Effect.flip(Effect.provide(call, layer)))

const servers: Array<Server> = []
const serve = async (listener: RequestListener): Promise<string> => {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
})

/** Servers that do not answer as the service does. */
const silent = () => serve(() => {})
const cutting = () => serve((request) => void request.socket.destroy())
const answering = (status: number, type: string, body: string) =>
  serve((_, response) => void response.writeHead(status, { "content-type": type }).end(body))
const closed = async () => {
  const url = await silent()
  await new Promise((resolve) => servers.pop()!.close(resolve))
  return url
}

describe("CouponClient", () => {
  let exit: Effect.Effect<never, IssueFailure>
  let server: Running
  beforeAll(async () => {
    server = await start({ useCases: () => ending(exit) })
  })
  afterAll(() => server.close())
  const ask = (failure: IssueFailure, call: typeof claim | typeof look = claim) => {
    exit = Effect.fail(failure)
    return failing(call, CouponClients.layer({ url: server.url }))
  }

  it("fails by tag, with what the failure carries", async () => {
    const { id: _, ...held } = coupon
    expect(await ask(new Failures.CouponAlreadyClaimed({ coupon }))).toMatchObject({
      _tag: "CouponAlreadyClaimed",
      coupon: held
    })
    expect(await ask(new Failures.Overloaded({ retryAfterSeconds: 3 }))).toMatchObject({
      _tag: "Overloaded",
      retryAfterSeconds: 3
    })
    expect(await ask(new Failures.InvalidArgument({ field: "userId", reason: "must be nice" }))).toMatchObject({
      _tag: "InvalidArgument",
      field: "userId",
      reason: "must be nice"
    })
    expect(await ask(new Failures.RecordNotFound(), look)).toMatchObject({ _tag: "RecordNotFound" })
  })

  it("takes the service's DEADLINE_EXCEEDED for its own timeout", async () => {
    expect(await ask(new Failures.DeadlineExceeded())).toMatchObject({ _tag: "TimedOut", mayBeDone: true })
    expect(await ask(new Failures.DeadlineExceeded(), look)).toMatchObject({ _tag: "TimedOut", mayBeDone: false })
  })

  it("knows whether a call without an answer may have been done", async () => {
    const at = (url: string) => CouponClients.layer({ url, timeoutMillis: 100 })
    const [slow, cut, none] = [at(await silent()), at(await cutting()), at(await closed())]
    expect(await failing(claim, slow)).toMatchObject({ _tag: "TimedOut", mayBeDone: true })
    expect(await failing(look, slow)).toMatchObject({ _tag: "TimedOut", mayBeDone: false })
    expect(await failing(claim, cut)).toMatchObject({ _tag: "Unreachable", mayBeDone: true })
    expect(await failing(look, cut)).toMatchObject({ _tag: "Unreachable", mayBeDone: false })
    expect(await failing(claim, none)).toMatchObject({
      _tag: "Unreachable",
      mayBeDone: false,
      reason: "nothing listens there"
    })
  })

  it("does not take another server's answer for the service's", async () => {
    const url = await answering(404, "text/html", "<h1>Not found</h1>")
    expect(await failing(look, CouponClients.layer({ url }))).toMatchObject({ _tag: "UnexpectedAnswer", url })
  })

  it("sends its key, and never shows it", async () => {
    let sent: string | undefined
    const url = await serve((request, response) => {
      sent = request.headers.authorization
      response.writeHead(404, { "content-type": "text/plain" }).end()
    })
    const failure = await failing(look, CouponClients.layer({ url, key: Redacted.make("cpn_secret") }))
    expect(sent).toBe("Bearer cpn_secret")
    expect(JSON.stringify(failure)).not.toContain("cpn_secret")
  })
})

describe("OperatorClient", () => {
  const at = (url: string) => OperatorClients.layer({ url, timeoutMillis: 100 })

  it("knows whether a call without an answer may have been done", async () => {
    const [slow, cut, none] = [at(await silent()), at(await cutting()), at(await closed())]
    expect(await failing(revoke, slow)).toMatchObject({ _tag: "TimedOut", mayBeDone: true })
    expect(await failing(info, slow)).toMatchObject({ _tag: "TimedOut", mayBeDone: false })
    expect(await failing(revoke, cut)).toMatchObject({ _tag: "Unreachable", mayBeDone: true })
    expect(await failing(info, cut)).toMatchObject({ _tag: "Unreachable", mayBeDone: false })
    expect(await failing(revoke, none)).toMatchObject({ _tag: "Unreachable", mayBeDone: false })
  })

  it("does not take another server's answer for the service's", async () => {
    for (const [status, type] of [[404, "text/html"], [503, "text/plain"], [200, "text/html"]] as const) {
      const url = await answering(status, type, "hello")
      expect(await failing(info, at(url))).toMatchObject({ _tag: "UnexpectedAnswer", status, url: `${url}${PATH}` })
    }
  })

  it("takes a proxy's 409 for an instance that is gone", async () => {
    const url = await answering(409, "application/json", "{}")
    expect(await failing(revoke, at(url))).toMatchObject({ _tag: "Unreachable", mayBeDone: true })
  })
})
