import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Runtime from "effect/Runtime"
import { Startup } from "../rpc/Startup.ts"
import * as Guard from "../security/Guard.ts"
import type { Role } from "../domain/Role.ts"
import * as ErrorCatalog from "../rpc/ErrorCatalog.ts"
import type { Mounts } from "./Mounts.ts"
import * as UnaryLane from "../rpc/UnaryLane.ts"

/** These mounts for who has the rights of `role` alone; others hear what an RPC would tell them, as JSON. */
export const make = (role: Role, mounts: Mounts): Effect.Effect<Mounts, never, Startup> =>
  Effect.map(Effect.zip(Startup, Effect.runtime<never>()), ([startup, runtime]) =>
    Object.fromEntries(Object.entries(mounts).map(([path, mount]) => [path, (request, response, draining) => {
      Effect.runFork(Effect.either(Guard.admit(startup, request.headers.authorization, role))).addObserver((exit) => {
        if (exit._tag === "Success" && Either.isRight(exit.value)) {
          try {
            mount(request, response, draining)
          } catch (defect) {
            // An observer's throw would end the process.
            Runtime.runFork(runtime)(Effect.logError(`a request to ${path} failed unexpectedly`, Cause.die(defect)))
            response.destroy()
          }
          return
        }
        const refusal = exit._tag === "Success" && Either.isLeft(exit.value) ? exit.value.left : undefined
        const { body, retryAfterSeconds, status } = ErrorCatalog.toErrorReply(refusal)
        request.resume()
        if (status === 401) (response as import("node:http").ServerResponse).setHeader("WWW-Authenticate", "Bearer")
        UnaryLane.send(response, status, "application/json", body, Buffer.byteLength(body), draining.aborted, retryAfterSeconds)
      })
    }] satisfies [string, Mounts[string]])))
