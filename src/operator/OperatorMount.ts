import type * as http from "node:http"
import { setTimeout } from "node:timers/promises"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { AppConfig } from "../config/AppConfig.ts"
import type { Startup } from "../rpc/Startup.ts"
import type { Handler, Mounts } from "../http/Mounts.ts"
import type { OperatorServer } from "./OperatorServer.ts"
import type { OperatorServices } from "./OperatorServices.ts"

/**
 * What OperatorServer imports, in steps of 5 to 30 ms from the leaves to the root: in one piece it holds every claim up for 0.2 s,
 * and operators begin to look when the crowd comes.
 */
const steps: ReadonlyArray<() => Promise<unknown>> = [
  () => import("@effect/platform/Headers"),
  () => import("@effect/platform/FileSystem"),
  () => import("@effect/platform/Multipart"),
  () => import("@effect/platform/Socket"),
  () => import("@effect/platform/HttpServerRequest"),
  () => import("@effect/platform/HttpApp"),
  () => import("@effect/platform/HttpRouter"),
  () => import("@effect/platform/HttpLayerRouter"),
  () => import("@effect/platform/WorkerRunner"),
  () => import("@effect/rpc/RpcSerialization"),
  () => import("@effect/rpc/Rpc"),
  () => import("@effect/rpc/RpcServer"),
  () => import("../contract/OperatorRpcs.ts")
]

/** Lets what has queued during a step be served before the next one. */
const PAUSE_MILLIS = 5

/**
 * The operator plane for the transport's port. `@effect/rpc` and what comes with it take 20 MB and 0.2 s of CPU, which no instance
 * pays before an operator calls it for the first time.
 */
export const make: Effect.Effect<Mounts, never, AppConfig | OperatorServices | Startup | Scope.Scope> = Effect.gen(function*() {
  const runtime = yield* Effect.runtime<AppConfig | OperatorServices | Startup | Scope.Scope>()
  let server: Promise<OperatorServer> | undefined
  const load = async () => {
    for (const step of steps) {
      await step()
      await setTimeout(PAUSE_MILLIS)
    }
    const { make } = await import("./OperatorServer.ts")
    return Runtime.runPromise(runtime)(make)
  }
  const mount: Handler = (request, response, draining) => {
    if (server === undefined) {
      server = load()
      draining.addEventListener("abort", () => void server?.then(({ stop }) => stop(), () => {}))
      server.catch((cause) => {
        server = undefined
        Runtime.runFork(runtime)(Effect.logError("the operator plane could not be loaded", Cause.die(cause)))
      })
    }
    server.then(({ serve }) => serve(request, response), () => {
      ;(response as http.ServerResponse).writeHead(500, { "content-length": "0" })
      response.end()
    }).catch((defect) => {
      Runtime.runFork(runtime)(Effect.logError("a call of the operator plane failed unexpectedly", Cause.die(defect)))
      response.destroy()
    })
  }
  return { "/operator/rpc": mount }
})
