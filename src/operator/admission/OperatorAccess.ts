import type { ServerResponse } from "node:http"
import * as Effect from "effect/Effect"
import type { Principal } from "../../domain/Principal.ts"
import { allows } from "../../domain/Role.ts"
import * as HttpSource from "../../rpc/dispatch/HttpSource.ts"
import * as ErrorCatalog from "../../rpc/ErrorCatalog.ts"
import type { Request, Response } from "../../rpc/Request.ts"
import type { Startup } from "../../rpc/Startup.ts"
import * as Guard from "../../security/Guard.ts"

/** The lowest role that may make any call. */
const LEAST = "VIEWER"

const BEARER = /^bearer +([\x21-\x7e]+) *$/i

/**
 * Who sends a request to the operator plane, before anything of it is read, held or loaded. A key that may make no call
 * at all fails here; the role for the call itself, and the key's rate, are the business of `Authorization`.
 */
export const identify = (
  startup: Startup["Type"],
  request: Request,
  response: Response,
  addressOf: (request: Request) => string
): Effect.Effect<Principal, Guard.Rejection> => {
  const { authorization } = request.headers
  const source = HttpSource.make(request, response, addressOf)
  // The guard counts a call against its key's rate and records a rejection, each once a call.
  const asked = Effect.suspend(() => {
    // Now, while the connection is there: the audit log names both.
    source.address()
    source.requestId()
    // Which call it is, and on which campaign, stands in the body, which is not read.
    return Guard.admit(startup, { authorization, source, call: "operator plane", touches: "own" }, LEAST)
  })
  const secret = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1]
  const keys = startup.current()?.apiKeys
  if (secret === undefined || keys === undefined) return asked
  return Effect.matchEffect(keys.authenticate(secret, source.address), {
    onFailure: () => asked,
    onSuccess: (found): Effect.Effect<Principal, Guard.Rejection> =>
      typeof found === "object" && found.role !== "NONE" && allows(found.role, LEAST) ? Effect.succeed(found) : asked
  })
}

/** A failure in the contract's form (`OperatorErrors`), as JSON: its schemas are loaded with the plane alone. */
const encode = (rejection: Guard.Rejection | undefined, waitingFor: ReadonlyArray<string>) => {
  switch (rejection?._tag) {
    case "Unauthenticated":
      return { _tag: "Unauthenticated", message: rejection.reason }
    case "PermissionDenied":
      return { _tag: "PermissionDenied", message: rejection.reason, requiredRole: LEAST }
    case "RateLimited":
      return {
        _tag: "Overloaded",
        message: "the calls a second are spent",
        retryAfterSeconds: rejection.retryAfterSeconds
      }
    case "Unavailable":
      return {
        _tag: "Unavailable",
        message: `this instance still waits for ${waitingFor.join(" and ") || "its stores"}`,
        retryAfterSeconds: rejection.retryAfterSeconds
      }
    default:
      return { _tag: "InternalError", message: "INTERNAL_SERVER_ERROR" }
  }
}

/** Answers a request whose sender may make no call; `undefined`: for a defect. */
export const reject = (
  request: Request,
  response: Response,
  rejection: Guard.Rejection | undefined,
  waitingFor: ReadonlyArray<string>
): void => {
  const { retryAfterSeconds, status } = ErrorCatalog.toErrorReply(rejection)
  const body = `${JSON.stringify(encode(rejection, waitingFor))}\n`
  ;(response as ServerResponse).writeHead(status, {
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    "cache-control": "no-store",
    ...retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) },
    ...status === 401 ? { "www-authenticate": "Bearer" } : {}
  })
  response.end(body)
  request.resume()
}
