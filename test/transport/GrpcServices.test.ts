import { Code, ConnectError, createClient, type Client } from "@connectrpc/connect"
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node"
import { execFile, spawnSync } from "node:child_process"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterEach, describe, expect, it } from "vitest"
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../src/contract/gen/grpc/health/v1/health_pb.ts"
import { ServerReflection } from "../../src/contract/gen/grpc/reflection/v1/reflection_pb.ts"
import { echo, start, type Running } from "./Stub.ts"

const root = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../..")
const run = promisify(execFile)

const releases: Array<() => unknown> = []
afterEach(async () => {
  for (let release = releases.pop(); release !== undefined; release = releases.pop()) await release()
})

const serve = async (options: Parameters<typeof start>[0] = {}): Promise<Running> => {
  const server = await start(options)
  releases.push(server.close)
  return server
}

const transportTo = (server: Running) => {
  const baseUrl = `http://127.0.0.1:${server.port}`
  const sessionManager = new Http2SessionManager(baseUrl)
  releases.push(() => sessionManager.abort())
  return createGrpcTransport({ baseUrl, sessionManager })
}
const healthOf = (server: Running): Client<typeof Health> => createClient(Health, transportTo(server))

describe("grpc.health.v1", () => {
  it("says SERVING of the server and of the service, and NOT_FOUND of any other", async () => {
    const health = healthOf(await serve())
    const services = ["", "coupon.v1.CouponService", "coupon.v1.WebhookService"]
    for (const service of services) {
      expect((await health.check({ service })).status).toBe(Status.SERVING)
    }
    const unknown = await health.check({ service: "coupon.v2.CouponService" }).catch((error: unknown) => error)
    expect(unknown).toBeInstanceOf(ConnectError)
    expect((unknown as ConnectError).code).toBe(Code.NotFound)
    expect(Object.keys((await health.list({})).statuses).sort()).toEqual(services)
  })

  it("says NOT_SERVING until the stores are there, and tells who watches", async () => {
    let current: typeof echo | undefined = undefined
    const health = healthOf(
      await serve({ useCases: () => current, waitingFor: () => current === undefined ? ["MySQL"] : [] })
    )
    expect((await health.check({})).status).toBe(Status.NOT_SERVING)
    const watch = health.watch({})[Symbol.asyncIterator]()
    expect((await watch.next()).value).toMatchObject({ status: Status.NOT_SERVING })
    current = echo
    expect((await watch.next()).value).toMatchObject({ status: Status.SERVING })
    expect((await health.check({})).status).toBe(Status.SERVING)
  })

  it("tells who watches that it drains, and does not wait for them", async () => {
    const server = await start()
    const health = healthOf(server)
    const watch = health.watch({})[Symbol.asyncIterator]()
    expect((await watch.next()).value).toMatchObject({ status: Status.SERVING })
    const unknown = health.watch({ service: "x" })[Symbol.asyncIterator]()
    expect((await unknown.next()).value).toMatchObject({ status: Status.SERVICE_UNKNOWN })
    const stopped = server.close()
    expect((await watch.next()).value).toMatchObject({ status: Status.NOT_SERVING })
    expect((await watch.next()).done).toBe(true)
    expect((await unknown.next()).done).toBe(true)
    await stopped
  })
})

describe("server reflection", () => {
  it("answers what it does not know by an error, and goes on", async () => {
    const reflection = createClient(ServerReflection, transportTo(await serve()))
    const asked = [
      { case: "fileContainingSymbol" as const, value: "coupon.v1.Nothing" },
      { case: "fileByFilename" as const, value: "nothing.proto" },
      { case: "fileContainingExtension" as const, value: { containingType: "coupon.v1.Coupon", extensionNumber: 1 } },
      { case: "allExtensionNumbersOfType" as const, value: "coupon.v1.Coupon" },
      { case: "allExtensionNumbersOfType" as const, value: "coupon.v1.Nothing" },
      { case: "fileContainingSymbol" as const, value: "coupon.v1.CouponService.IssueCoupon" },
      { case: "fileContainingSymbol" as const, value: "coupon.v1.Coupon.code" },
      { case: "fileByFilename" as const, value: "coupon/v1/coupon.proto" }
    ]
    const replies: Array<unknown> = []
    const requests = (async function*() {
      for (const messageRequest of asked) yield { messageRequest }
    })()
    for await (const { messageResponse } of reflection.serverReflectionInfo(requests)) {
      replies.push(messageResponse.case === "errorResponse" ? messageResponse.value.errorCode : messageResponse.case)
    }
    expect(replies).toEqual([
      5, 5, 5, "allExtensionNumbersResponse", 5, "fileDescriptorResponse", "fileDescriptorResponse",
      "fileDescriptorResponse"
    ])
  })

  const request = JSON.stringify({ campaignId: 7, userId: "9223372036854775807" })

  it("lets `buf curl` call without a proto file", async () => {
    const { url } = await serve()
    const { stdout } = await run(Path.join(root, "node_modules/.bin/buf"), [
      ...[
        "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", request,
        `${url}/coupon.v1.CouponService/IssueCoupon`
      ]
    ])
    expect(JSON.parse(stdout)).toMatchObject({ message: "OK" })
  })

  const grpcurl = process.env["GRPCURL"] ?? "grpcurl"
  const installed = spawnSync(grpcurl, ["--version"], { stdio: "ignore" }).status === 0
  it.skipIf(!installed)("lets grpcurl list, describe and call without a proto file", async () => {
    const { port } = await serve()
    const call = async (...args: ReadonlyArray<string>) =>
      (await run(grpcurl, ["-plaintext", ...args])).stdout
    const at = `127.0.0.1:${port}`
    expect((await call(at, "list")).trim().split("\n").sort()).toEqual([
      "coupon.v1.CouponService",
      "coupon.v1.WebhookService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection"
    ])
    expect(await call(at, "describe", "coupon.v1.CouponService.IssueCoupon")).toContain("rpc IssueCoupon")
    expect(JSON.parse(await call("-d", request, at, "coupon.v1.CouponService/IssueCoupon"))).toMatchObject({
      message: "OK"
    })
    expect(JSON.parse(await call(at, "grpc.health.v1.Health/Check"))).toEqual({ status: "SERVING" })
  })
})
