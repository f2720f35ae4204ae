import * as RpcServer from "@effect/rpc/RpcServer"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { AppConfig } from "../config/AppConfig.ts"
import * as ClientAddress from "../rpc/admission/ClientAddress.ts"
import type { Startup } from "../rpc/Startup.ts"
import * as Authorization from "./Authorization.ts"
import * as OperatorHandlers from "./OperatorHandlers.ts"
import * as OperatorProtocol from "./OperatorProtocol.ts"
import { OperatorRpcs } from "../contract/OperatorRpcs.ts"
import type { OperatorServices } from "./OperatorServices.ts"
import type { Overviews } from "./OverviewSampler.ts"

/** The operator plane, ready to serve. */
export interface OperatorServer {
  readonly serve: OperatorProtocol.OperatorProtocol["serve"]
  /** Ends every stream, so that the server can drain; further calls fail because the instance is stopping. */
  readonly stop: () => void
}

/** The one module that imports `@effect/rpc`'s server; it is loaded when the first operator calls. */
export const make: Effect.Effect<
  OperatorServer,
  never,
  AppConfig | OperatorServices | Overviews | Startup | Scope.Scope
> = Effect.gen(function*() {
  const config = yield* AppConfig
  const stopped = yield* Deferred.make<void>()
  const addressOf = ClientAddress.makeAddressOf(config.trustedNetworks)
  const { protocol, serve, sourceOf } = yield* OperatorProtocol.make({ addressOf, maxBodyBytes: config.maxBodyBytes })
  yield* Layer.build(
    RpcServer.layer(OperatorRpcs, { disableFatalDefects: true, disableTracing: true }).pipe(
      Layer.provide([OperatorHandlers.layer(Deferred.await(stopped)), Authorization.layer]),
      Layer.provide(Layer.succeed(OperatorProtocol.OperatorSources, { of: sourceOf })),
      Layer.provide(Layer.succeed(RpcServer.Protocol, protocol))
    )
  )
  return { serve, stop: () => Deferred.unsafeDone(stopped, Effect.void) }
})
