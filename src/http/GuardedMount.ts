import type { ServerResponse } from "node:http"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Runtime from "effect/Runtime"
import { AppConfig } from "../config/AppConfig.ts"
import type { Role } from "../domain/Role.ts"
import * as ErrorCatalog from "../rpc/ErrorCatalog.ts"
import * as ClientAddress from "../rpc/admission/ClientAddress.ts"
import * as HttpSource from "../rpc/dispatch/HttpSource.ts"
import type { Request, Response } from "../rpc/Request.ts"
import { Startup } from "../rpc/Startup.ts"
import * as UnaryLane from "../rpc/UnaryLane.ts"
import * as Guard from "../security/Guard.ts"
import type { Handler, Mount, Mounts } from "./Mounts.ts"
import { mountOf } from "./Mounts.ts"

/** Answers with the failure that an RPC would answer with, as JSON; `undefined`: a defect. */
const reject = (response: Response, rejection: Guard.Rejection | undefined, last: boolean) => {
  const { body, retryAfterSeconds, status } = ErrorCatalog.toErrorReply(rejection)
  if (status === 401) (response as ServerResponse).setHeader("WWW-Authenticate", "Bearer")
  UnaryLane.send(response, status, "application/json", body, Buffer.byteLength(body), last, retryAfterSeconds)
}

const guard = (
  role: Role,
  path: string,
  { handler, headers }: Mount,
  startup: Startup["Type"],
  addressOf: (request: Request) => string,
  run: (work: Effect.Effect<void>) => unknown
): Mount => {
  const admitted: Handler = (request, response, draining) => {
    try {
      handler(request, response, draining)
    } catch (defect) {
      // A throw in the fiber's observer would end the process.
      run(Effect.logError(`a request to ${path} failed unexpectedly`, Cause.die(defect)))
      response.destroy()
    }
  }
  return {
    headers,
    handler: (request, response, draining) => {
      const source = HttpSource.make(request, response, addressOf)
      const caller: Guard.Caller = {
        authorization: request.headers.authorization,
        source,
        call: undefined,
        // Metrics are of the instance, and name no campaign.
        touches: "own"
      }
      Effect.runFork(Effect.either(Guard.admit(startup, caller, role))).addObserver((exit) => {
        if (exit._tag === "Success" && Either.isRight(exit.value)) return admitted(request, response, draining)
        request.resume()
        const rejection = exit._tag === "Success" && Either.isLeft(exit.value) ? exit.value.left : undefined
        reject(response, rejection, draining.aborted)
      })
    }
  }
}

/** The same mounts, for callers with the rights of `role` alone. */
export const make = (role: Role, mounts: Mounts): Effect.Effect<Mounts, never, AppConfig | Startup> =>
  Effect.gen(function*() {
    const startup = yield* Startup
    const addressOf = ClientAddress.makeAddressOf((yield* AppConfig).trustedNetworks)
    const run = Runtime.runFork(yield* Effect.runtime<never>())
    const guarded = Object.entries(mounts).map(([path, mount]) =>
      [path, guard(role, path, mountOf(mount), startup, addressOf, run)] as const)
    return Object.fromEntries(guarded)
  })
