import type * as http from "node:http"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { AppConfig } from "../AppConfig.ts"
import type { Startup } from "../issuance/Startup.ts"
import type { Mounts } from "../transport/Server.ts"
import type { OperatorServer } from "./OperatorServer.ts"
import type { OperatorServices } from "./OperatorServices.ts"

/**
 * The operator plane for the transport's port. `@effect/rpc` and what comes with it take 40 MB and 0.1 s, which no instance
 * pays before an operator calls it for the first time.
 */
export const make: Effect.Effect<Mounts, never, AppConfig | OperatorServices | Startup | Scope.Scope> = Effect.gen(function*() {
  const runtime = yield* Effect.runtime<AppConfig | OperatorServices | Startup | Scope.Scope>()
  let server: Promise<OperatorServer> | undefined
  const load = async () => {
    const { make } = await import("./OperatorServer.ts")
    return Runtime.runPromise(runtime)(make)
  }
  const mount: Mounts[string] = (request, response, draining) => {
    if (server === undefined) {
      server = load()
      draining.addEventListener("abort", () => void server?.then(({ stop }) => stop(), () => {}))
      server.catch((cause) => {
        server = undefined
        Runtime.runFork(runtime)(Effect.logError("the operator plane could not be loaded", cause))
      })
    }
    server.then(({ serve }) => serve(request, response), () => {
      ;(response as http.ServerResponse).writeHead(500, { "content-length": "0" })
      response.end()
    })
  }
  return { "/operator/rpc": mount }
})
