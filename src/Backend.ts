import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Backoff from "./base/Backoff.ts"
import { AppConfig } from "./config/AppConfig.ts"
import { Deployment } from "./ports/operation/Deployment.ts"
import * as EventStream from "./ports/EventStream.ts"
import type { LedgerUnavailable } from "./ports/Ledger.ts"
import { StoreHealth } from "./ports/StoreHealth.ts"
import { rootMessage } from "./base/RootMessage.ts"
import { KeysUnavailable } from "./security/ApiKeys.ts"
import { ProductionNote } from "./security/ProductionNote.ts"
import * as GateKeys from "./redis/GateKeys.ts"
import * as RedisClient from "./redis/RedisClient.ts"
import * as RedisEventStream from "./redis/RedisEventStream.ts"
import * as RedisGate from "./redis/RedisGate.ts"
import * as RedisGateFacts from "./redis/RedisGateFacts.ts"
import * as RedisInstanceBoard from "./redis/RedisInstanceBoard.ts"
import * as MySqlApiKeyStore from "./sql/mysql/admin/MySqlApiKeyStore.ts"
import * as MySqlAuditChain from "./sql/mysql/admin/MySqlAuditChain.ts"
import * as MySqlAuditLog from "./sql/mysql/admin/MySqlAuditLog.ts"
import * as MySqlDeployment from "./sql/mysql/admin/MySqlDeployment.ts"
import * as MySqlErasures from "./sql/mysql/admin/MySqlErasures.ts"
import * as MySqlLedgerFacts from "./sql/mysql/admin/MySqlLedgerFacts.ts"
import * as MySql from "./sql/mysql/connection/MySql.ts"
import * as MySqlBackup from "./sql/mysql/MySqlBackup.ts"
import * as MySqlCampaignPhases from "./sql/mysql/MySqlCampaignPhases.ts"
import * as MySqlCampaignStore from "./sql/mysql/MySqlCampaignStore.ts"
import * as MySqlCodeImports from "./sql/mysql/MySqlCodeImports.ts"
import * as MySqlEventLog from "./sql/mysql/MySqlEventLog.ts"
import * as MySqlLedger from "./sql/mysql/MySqlLedger.ts"
import * as MySqlOutbox from "./sql/mysql/MySqlOutbox.ts"
import * as MySqlWebhooks from "./sql/mysql/webhooks/MySqlWebhooks.ts"
import * as MySqlRedemptions from "./sql/mysql/redemptions/MySqlRedemptions.ts"
import * as RecentBatches from "./sql/mysql/RecentBatches.ts"
import { layerEmbedded } from "./EmbeddedBackend.ts"
import { BackendUnusable, type Stores, unusable } from "./Stores.ts"

export { BackendUnusable, type Stores } from "./Stores.ts"

/** Receives the stores that the assembly waits for, by names that an operator understands. */
export class BootProgress extends Context.Tag("coupon/BootProgress")<BootProgress, {
  readonly waitFor: (store: string) => Effect.Effect<void>
  readonly arrived: (store: string) => Effect.Effect<void>
}>() {}

/** Pauses between attempts to reach a store: 100 ms doubling to 2 s. */
const patience = Backoff.schedule({ firstMillis: 100, lastMillis: 2_000 })

/** The pause between log lines about a store that is still awaited. */
const REMINDER = Duration.seconds(10)

/** Failures that may pass by themselves. */
type Away = LedgerUnavailable | KeysUnavailable

const isAway = (error: object): error is Away =>
  "_tag" in error && (error._tag === "LedgerUnavailable" || error._tag === "KeysUnavailable")

/** Reports a store as awaited until `attempt` succeeds. Tries again as long as it fails because the store is away. */
export const awaited = <A, E extends { readonly message: string }, R>(
  store: string,
  attempt: Effect.Effect<A, E, R>
): Effect.Effect<A, Exclude<E, Away>, R | BootProgress> =>
  Effect.gen(function*() {
    const progress = yield* BootProgress
    let loggedAt = Number.NEGATIVE_INFINITY
    yield* progress.waitFor(store)
    const log = (failure: Away) =>
      Effect.suspend(() => {
        if (performance.now() - loggedAt < Duration.toMillis(REMINDER)) return Effect.void
        loggedAt = performance.now()
        return Effect.logWarning(`waiting for ${store}: ${rootMessage(failure.cause)}`)
      })
    const result = yield* attempt.pipe(
      Effect.tapError((error) => isAway(error) ? log(error) : Effect.void),
      Effect.retry({ schedule: patience, while: isAway }),
      // The schedule never ends.
      Effect.mapError((error) => error as Exclude<E, Away>)
    )
    yield* progress.arrived(store)
    if (loggedAt > 0) yield* Effect.logInfo(`${store} is there`)
    return result
  })

const layerMySql = Layer.unwrapEffect(Effect.map(AppConfig, (config) =>
  Layer.scopedContext(Effect.gen(function*() {
    const scope = yield* Effect.scope
    const store = Option.match(config.mysqlUrl, {
      onNone: () => "MySQL",
      onSome: (url) => `MySQL at ${MySql.address(url)}`
    })
    return yield* Effect.mapError(awaited(store, Layer.buildWithScope(MySql.layer, scope)), unusable)
  }))))

/** Completes when Redis answered once: an instance that never reached its gate is misconfigured. */
const redisThere = Layer.effectDiscard(Effect.gen(function*() {
  const client = yield* RedisClient.RedisClient
  const progress = yield* BootProgress
  const store = `Redis at ${client.address}`
  yield* progress.waitFor(store)
  const remind = Effect.repeat(Effect.logWarning(`waiting for ${store}`), Schedule.spaced(REMINDER))
  const late = Effect.zipRight(Effect.sleep("500 millis"), Effect.zipRight(remind, Effect.never))
  yield* Effect.raceFirst(client.ready, late)
  yield* progress.arrived(store)
}))

/** The one fact of the ledger that guards administration. */
const productionNote = Layer.effect(ProductionNote, Effect.map(Deployment, ({ facts, noteServedInProduction }) => {
  const unavailable = (cause: unknown) => new KeysUnavailable({ cause })
  return ProductionNote.of({
    found: Effect.mapBoth(facts, {
      onFailure: unavailable,
      onSuccess: ({ servedInProductionAt }) => servedInProductionAt !== undefined
    }),
    leave: Effect.mapError(noteServedInProduction, unavailable)
  })
}))

/** The ledger's identity determines the gate's keys, so they are built on both stores. */
const layerGateKeys = Layer.scopedContext(Effect.gen(function*() {
  const scope = yield* Effect.scope
  return yield* awaited("the ledger's identity", Layer.buildWithScope(GateKeys.layer, scope))
}))

const layerBoard = Layer.scopedContext(Effect.gen(function*() {
  const scope = yield* Effect.scope
  return yield* awaited("the ledger's identity", Layer.buildWithScope(RedisInstanceBoard.layer, scope))
}))

const layerEventStream = Layer.unwrapEffect(
  Effect.map(AppConfig, (config): Layer.Layer<EventStream.EventStream, never, AppConfig | GateKeys.GateKeys> =>
    config.eventStream === "redis" ? RedisEventStream.layer : EventStream.layerOff)
)

/** MySQL and Redis; waits for both, at the same time. */
export const layerDistributed: Layer.Layer<
  Stores,
  BackendUnusable,
  AppConfig | BootProgress
> = Layer.mergeAll(RedisGate.layer, layerEventStream, RedisGateFacts.layer, layerBoard).pipe(
  Layer.provide(layerGateKeys),
  Layer.provideMerge(Layer.mergeAll(
    Layer.succeed(StoreHealth, { troubles: () => [] }),
    Layer.mergeAll(
      MySqlCampaignStore.layer,
      MySqlCodeImports.layer,
      Layer.merge(MySqlLedger.layer, MySqlOutbox.layer).pipe(Layer.provide(RecentBatches.layer)),
      Layer.merge(MySqlErasures.layer, MySqlLedgerFacts.layer),
      MySqlAuditLog.layer,
      MySqlAuditChain.layer,
      MySqlApiKeyStore.layer,
      MySqlCampaignPhases.layer,
      MySqlDeployment.layer,
      MySqlRedemptions.layer,
      MySqlEventLog.layer
    ).pipe(
      Layer.merge(Layer.merge(MySqlBackup.layer, MySqlWebhooks.layer)),
      Layer.provide(layerMySql),
      Layer.mapError(unusable)
    ),
    Layer.provideMerge(redisThere, Layer.mapError(RedisClient.layer, unusable))
  ))
)

/** Brings the schema of the distributed ledger up to date; returns the names of the migrations that it applied. */
export const migrate: Effect.Effect<
  ReadonlyArray<string>,
  BackendUnusable,
  AppConfig
> = Effect.flatMap(AppConfig, (config) =>
  config.embedded ? Effect.succeed([]) : MySql.endpoints.pipe(
    Effect.flatMap(({ migrating }) => MySql.migrate(migrating)),
    Effect.mapError((error) =>
      isAway(error) ? new BackendUnusable({ message: rootMessage(error.cause) }) : unusable(error)
    )
  ))

type Assembly<A> = Layer.Layer<A, BackendUnusable, AppConfig | BootProgress>

/** The assembly that the settings choose. */
export const layer: Assembly<Stores | ProductionNote> = Layer.provideMerge(
  productionNote,
  Layer.unwrapEffect(
    Effect.map(AppConfig, (config): Assembly<Stores> => config.embedded ? layerEmbedded : layerDistributed)
  )
)

/** The chosen stores in a few words, without secrets. */
export const describe = (config: AppConfig["Type"]): string =>
  config.embedded
    ? `the embedded stores (libSQL in ${config.dataDir}, gate in the process)`
    : `MySQL at ${MySql.address(Option.getOrThrow(config.mysqlUrl))} and Redis`
