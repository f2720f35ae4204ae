// The yardsticks, as a process of its own: `node bench/echo.ts raw`, `connect` or `h2c`. Prints its port.
//   raw      node:http: reads the body, parses it, answers a constant with a content-length
//   connect  connect-node's own adapter, answering the same constant
//   h2c      node:http2 without TLS, as Envoy talks to the instances: the work of raw, and /readyz for health checks
import * as Http from "node:http"
import * as Http2 from "node:http2"
import type { AddressInfo } from "node:net"
import { connectNodeAdapter } from "@connectrpc/connect-node"
import { CouponService } from "../src/contract/gen/coupon/v1/coupon_pb.ts"

export type EchoKind = "raw" | "connect" | "h2c"

const BODY = "{\"message\":\"OK\"}"

const raw: Http.RequestListener = (request, response) => {
  let body = ""
  request.setEncoding("utf8")
  request.on("data", (chunk: string) => body += chunk)
  request.on("end", () => {
    JSON.parse(body)
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": BODY.length })
    response.end(BODY)
  })
}

const connect = connectNodeAdapter({
  routes: (router) => {
    router.rpc(CouponService.method.issueCoupon, () => ({ message: "OK" }))
  }
})

const h2c = Http2.createServer({ settings: { maxConcurrentStreams: 1_000 } })
h2c.on("stream", (stream, headers) => {
  if (headers[":path"] === "/readyz") {
    stream.respond({ ":status": 200 }, { endStream: true })
    return
  }
  let body = ""
  stream.setEncoding("utf8")
  // Its peer may have reset it.
  stream.on("error", () => {})
  stream.on("data", (chunk: string) => body += chunk)
  stream.on("end", () => {
    JSON.parse(body)
    stream.respond({ ":status": 200, "content-type": "application/json", "content-length": BODY.length })
    stream.end(BODY)
  })
})

const server = {
  raw: () => Http.createServer({ keepAliveTimeout: 65_000 }, raw),
  connect: () => Http.createServer({ keepAliveTimeout: 65_000 }, connect as Http.RequestListener),
  h2c: () => h2c
}[process.argv[2] as EchoKind]()
server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () => console.log((server.address() as AddressInfo).port))
