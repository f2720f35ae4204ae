import type { ServerResponse } from "node:http"
import { Code } from "@connectrpc/connect"
import { rejection } from "../rpc/ErrorCatalog.ts"
import type { Request, Response } from "../rpc/Request.ts"
import type { Route } from "../rpc/Route.ts"
import type { Startup } from "../rpc/Startup.ts"
import * as UnaryLane from "../rpc/UnaryLane.ts"

/** What the port itself answers: `/`, `/livez`, `/readyz`, and requests that nothing serves. */
export interface Pages {
  /** Whether all stores are reached and the use cases are there. */
  readonly ready: () => boolean
  /** Rejects a request in the form of its protocol. */
  readonly reject: (request: Request, response: Response, status: number, code: Code, message: string) => void
  readonly serve: (request: Request, response: Response, path: string) => void
}

const PATHS = new Set(["/", "/livez", "/readyz"])

export const make = (
  routes: ReadonlyArray<Route>,
  startup: Startup["Type"],
  draining: () => boolean
): Pages => {
  const posts = routes.map((route) => `POST ${route.path}`)
  const guide = {
    service: "coupon.v1.CouponService",
    protocols: ["Connect", "gRPC", "gRPC-Web"],
    rpcs: posts,
    health: ["GET /livez", "GET /readyz", "grpc.health.v1.Health"],
    reflection: ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
  }

  const sendJson = (response: Response, status: number, value: unknown) => {
    const body = `${JSON.stringify(value)}\n`
    UnaryLane.send(response, status, "application/json", body, Buffer.byteLength(body), draining())
  }

  const reject: Pages["reject"] = (request, response, status, code, message) => {
    const { body, type } = rejection(request.headers["content-type"], code, message)
    UnaryLane.send(response, status, type, body, Buffer.byteLength(body), draining())
  }

  const ready = () => startup.current() !== undefined && startup.waitingFor().length === 0

  const readiness = (response: Response) => {
    if (draining()) return sendJson(response, 503, { status: "draining" })
    if (ready()) return sendJson(response, 200, { status: "ready" })
    const status = startup.current() === undefined ? "starting" : "unavailable"
    sendJson(response, 503, { status, waitingFor: startup.waitingFor() })
  }

  const serve: Pages["serve"] = (request, response, path) => {
    if (!PATHS.has(path)) {
      reject(request, response, 404, Code.Unimplemented, `there is no such path; RPCs are ${posts.join(", ")}`)
    } else if (request.method !== "GET" && request.method !== "HEAD") {
      (response as ServerResponse).setHeader("Allow", "GET, HEAD")
      reject(request, response, 405, Code.Unknown, `${path} takes GET`)
    } else if (path === "/livez") sendJson(response, 200, { status: "alive" })
    else if (path === "/readyz") readiness(response)
    else sendJson(response, 200, guide)
  }

  return { ready, reject, serve }
}
