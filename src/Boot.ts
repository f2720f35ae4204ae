import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "./config/AppConfig.ts"
import { KeyWatch } from "./agents/KeyWatch.ts"
import * as Backend from "./Backend.ts"
import * as Issuance from "./UseCases.ts"
import { LedgerUnavailable } from "./ports/Ledger.ts"
import { StoreHealth } from "./ports/StoreHealth.ts"
import { Startup, type UseCases } from "./rpc/Startup.ts"
import * as RefusedActsLog from "./operator/audit/RefusedActsLog.ts"
import { OperatorServices, type Ports } from "./operator/OperatorServices.ts"
import { ApiKeys } from "./security/ApiKeys.ts"
import * as Posture from "./security/Posture.ts"
import * as Security from "./security/Security.ts"
import type { JwksUnusable } from "./security/UserTokens.ts"
import * as MeteredPorts from "./telemetry/MeteredPorts.ts"
import * as TracedPorts from "./telemetry/TracedPorts.ts"

/** A failure that an operator has to fix; each has a `message`. */
export type Unbootable = Backend.BackendUnusable | Posture.AdministrationUnguarded | JwksUnusable

/** Why the service cannot run and waiting would not help, e.g. another process owns `DATA_DIR`. */
export class BootFailure extends Context.Tag("coupon/BootFailure")<BootFailure, {
  /** Fails when the stores turn out to be unusable; never succeeds. */
  readonly failed: Effect.Effect<never, Unbootable>
}>() {}

/** What the agent `key_watch` does, by the keys that this process holds. */
const keyWatch = Layer.effect(KeyWatch, Effect.map(ApiKeys, ({ upkeep }) =>
  KeyWatch.of({ runOnce: Effect.mapError(upkeep, ({ cause }) => new LedgerUnavailable({ cause })) })))

/**
 * Builds the stores and the use cases in the background, so that the service listens from its first second and reports
 * what it waits for. Stores that cannot be reached are tried again without end.
 */
export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const scope = yield* Effect.scope
  const failed = yield* Deferred.make<never, Unbootable>()
  const waiting = new Set<string>()
  let current: UseCases | undefined
  let ports: Context.Context<Ports> | undefined
  let troubles: () => ReadonlyArray<string> = () => []

  const progress = Backend.BootProgress.of({
    waitFor: (store) => Effect.sync(() => void waiting.add(store)),
    arrived: (store) => Effect.sync(() => void waiting.delete(store))
  })

  const security = Layer.provide(Security.layer, RefusedActsLog.layer)
  const useCases = Issuance.layer.pipe(Layer.provide(TracedPorts.layer), Layer.provide(MeteredPorts.layer))
  const services = useCases.pipe(Layer.provide(keyWatch), Layer.provideMerge(security))
  const build = Layer.buildWithScope(Layer.provideMerge(services, Backend.layer), scope).pipe(
    // The ledger may be away again right after it was reached.
    Effect.tap((context) => Effect.provide(Backend.awaited("the API keys in the ledger", Posture.check), context)),
    Effect.provideService(Backend.BootProgress, progress),
    Effect.timed,
    Effect.flatMap(([took, context]) => {
      current = Issuance.servedFrom(context)
      ports = context
      troubles = Context.get(context, StoreHealth).troubles
      return Effect.logInfo(`ready on ${Backend.describe(config)} after ${Math.round(Duration.toMillis(took))} ms`)
    }),
    Effect.catchAllCause((cause) => Deferred.failCause(failed, cause))
  )
  yield* Effect.forkIn(build, scope)

  return Context.make(Startup, {
    current: () => current,
    waitingFor: () => current === undefined && waiting.size === 0 ? ["the ledger"] : [...waiting, ...troubles()]
  }).pipe(
    Context.add(BootFailure, { failed: Deferred.await(failed) }),
    Context.add(OperatorServices, { current: () => ports, stores: Backend.describe(config) })
  )
})

export const layer: Layer.Layer<Startup | BootFailure | OperatorServices, never, AppConfig> = Layer.scopedContext(make)
