import type * as http from "node:http"
import { setTimeout } from "node:timers/promises"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { AppConfig } from "../config/AppConfig.ts"
import type { Principal } from "../domain/Principal.ts"
import * as ClientAddress from "../rpc/admission/ClientAddress.ts"
import { Startup } from "../rpc/Startup.ts"
import type { Request, Response } from "../rpc/Request.ts"
import type { Handler, Mounts } from "../http/Mounts.ts"
import * as OperatorAccess from "./admission/OperatorAccess.ts"
import type { OperatorServer } from "./OperatorServer.ts"
import type { OperatorServices } from "./OperatorServices.ts"
import type { Overviews } from "./OverviewSampler.ts"

/**
 * What OperatorServer imports, in steps of 5 to 30 ms from the leaves to the root. Imported at once, it would delay
 * every claim by 0.2 s, often just as a sale begins and operators connect.
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

/** A pause in which requests that queued during a step are served. */
const PAUSE_MILLIS = 5

/**
 * The operator plane for the server's port. `@effect/rpc` and its dependencies take 20 MB and 0.2 s of CPU; an instance
 * pays that when an operator first calls it.
 */
export const make: Effect.Effect<
  Mounts,
  never,
  AppConfig | OperatorServices | Overviews | Startup | Scope.Scope
> = Effect.gen(function*() {
  const runtime = yield* Effect.runtime<AppConfig | OperatorServices | Overviews | Startup | Scope.Scope>()
  const startup = yield* Startup
  const addressOf = ClientAddress.makeAddressOf((yield* AppConfig).trustedNetworks)
  let server: Promise<OperatorServer> | undefined
  const load = async () => {
    for (const step of steps) {
      await step()
      await setTimeout(PAUSE_MILLIS)
    }
    const { make } = await import("./OperatorServer.ts")
    return Runtime.runPromise(runtime)(make)
  }
  const serveTo = (caller: Principal, request: Request, response: Response, draining: AbortSignal) => {
    if (server === undefined) {
      server = load()
      draining.addEventListener("abort", () => void server?.then(({ stop }) => stop(), () => {}))
      server.catch((cause) => {
        server = undefined
        Runtime.runFork(runtime)(Effect.logError("the operator plane could not be loaded", Cause.die(cause)))
      })
    }
    server.then(({ serve }) => serve(request, response, caller), () => {
      ;(response as http.ServerResponse).writeHead(500, { "content-length": "0" })
      response.end()
    }).catch((defect) => {
      Runtime.runFork(runtime)(Effect.logError("a call of the operator plane failed unexpectedly", Cause.die(defect)))
      response.destroy()
    })
  }
  const mount: Handler = (request, response, draining) => {
    const identified = OperatorAccess.identify(startup, request, response, addressOf)
    Effect.runFork(Effect.either(identified)).addObserver((exit) => {
      if (response.destroyed) return
      if (exit._tag === "Success" && Either.isRight(exit.value)) {
        return serveTo(exit.value.right, request, response, draining)
      }
      const rejection = exit._tag === "Success" && Either.isLeft(exit.value) ? exit.value.left : undefined
      OperatorAccess.reject(request, response, rejection, startup.waitingFor())
    })
  }
  return { "/operator/rpc": mount }
})
