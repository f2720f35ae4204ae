import * as RpcSchema from "@effect/rpc/RpcSchema"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Actor from "../domain/Actor.ts"
import { Startup } from "../rpc/Startup.ts"
import * as Rechecks from "../rpc/streams/Rechecks.ts"
import * as Guard from "../security/Guard.ts"
import type { Rejection } from "../contract/OperatorErrors.ts"
import { Overloaded, PermissionDenied, Unauthenticated, Unavailable } from "../contract/OperatorErrors.ts"
import { storesAway } from "./OperatorFailures.ts"
import { Authorization, Caller, RequiredRole, TouchedCampaigns } from "../contract/operator/CallAccess.ts"
import { OperatorSources } from "./OperatorProtocol.ts"

/** The guard's rejection in the operator plane's terms. */
const rejectionOf = (
  rejection: Guard.Rejection,
  call: string,
  required: string,
  waitingFor: ReadonlyArray<string>
): Rejection => {
  switch (rejection._tag) {
    case "Unauthenticated":
      return new Unauthenticated({ message: rejection.reason })
    case "PermissionDenied":
      return new PermissionDenied({
        message: `${call} is for the role ${required}: ${rejection.reason}`,
        requiredRole: required
      })
    case "RateLimited":
      return new Overloaded({
        message: "this key's calls a second are spent",
        retryAfterSeconds: rejection.retryAfterSeconds
      })
    case "Unavailable":
      return storesAway(waitingFor)
  }
}

/** `Rechecks.limitedAnew` in the operator plane's terms. */
const limitedAnew = new Unavailable({ message: "the limits of this key were changed", retryAfterSeconds: 1 })

/** Admits a call by the same guard as all protocols, and provides the `Caller`, whose name the audit log records. */
export const layer: Layer.Layer<Authorization, never, OperatorSources | Startup> = Layer.effect(
  Authorization,
  Effect.map(Effect.all([Startup, OperatorSources, Rechecks.make]), ([startup, sources, rechecks]) =>
    Authorization.of(({ clientId, headers, next, payload, rpc }) => {
      // Without the annotation a call would be open to all, so the strictest role is required.
      const required = Option.getOrElse(Context.getOption(rpc.annotations, RequiredRole), () => "ADMIN" as const)
      const source = sources.of(clientId)
      // Likewise it would be open to keys that are limited to campaigns.
      const touched = Option.getOrElse(Context.getOption(rpc.annotations, TouchedCampaigns), () => "all" as const)
      const touches = touched === "named" ? (payload as { readonly campaignId?: number }).campaignId ?? "own" : touched
      const caller = { authorization: headers["authorization"], source, call: rpc._tag, touches }
      const rejected = (rejection: Guard.Rejection) =>
        rejectionOf(rejection, rpc._tag, required, startup.waitingFor())
      return Guard.admit(startup, caller, required).pipe(
        Effect.mapError(rejected),
        Effect.flatMap((principal) => {
          const guard = startup.current()!.guard
          const admitted = Effect.provideService(next, Caller, { principal, actor: Actor.of(principal, source) })
          // A stream may last for days: it ends with the rights of its caller.
          const work = RpcSchema.isStreamSchema(rpc.successSchema)
            ? Effect.raceFirst(
              admitted,
              Effect.mapError(
                Rechecks.whileAdmitted(rechecks, { guard, caller, access: required, principal }),
                (rejection) => rejection === Rechecks.limitedAnew ? limitedAnew : rejected(rejection)
              )
            )
            : admitted
          if (required === "VIEWER") return work
          return Effect.tapError(work, ({ _tag }) =>
            Effect.sync(() => guard.actFailed(caller, principal, _tag)))
        })
      )
    }))
)
