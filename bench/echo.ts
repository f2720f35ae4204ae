// The two yardsticks, as a process of its own: `node bench/echo.ts raw` or `connect`. Prints its port.
//   raw      node:http: reads the body, parses it, answers a constant by writeHead with a content-length (docs/internals/benchmarks.md)
//   connect  connect-node's own adapter, answering the same constant
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { connectNodeAdapter } from "@connectrpc/connect-node"
import { CouponService } from "../src/contract/gen/coupon/v1/coupon_pb.ts"

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

const listener = { raw, connect: connect as Http.RequestListener }[process.argv[2] as "raw" | "connect"]
const server = Http.createServer({ keepAliveTimeout: 65_000 }, listener)
server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () => console.log((server.address() as AddressInfo).port))
