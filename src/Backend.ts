import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Backoff from "./base/Backoff.ts"
import { AppConfig } from "./config/AppConfig.ts"
import type { AuditChain } from "./ports/AuditChain.ts"
import type { AuditLog } from "./ports/AuditLog.ts"
import type { CampaignStore } from "./ports/CampaignStore.ts"
import type { CodeImports } from "./ports/CodeImports.ts"
import type { CampaignPhases } from "./ports/CampaignPhases.ts"
import { Deployment } from "./ports/operation/Deployment.ts"
import type { EventLog } from "./ports/EventLog.ts"
import * as EventStream from "./ports/EventStream.ts"
import type { Gate } from "./ports/Gate.ts"
import type { GateFacts } from "./ports/operation/GateFacts.ts"
import type { Ledger, LedgerUnavailable } from "./ports/Ledger.ts"
import type { LedgerFacts } from "./ports/LedgerFacts.ts"
import type { LedgerBackup } from "./ports/operation/LedgerBackup.ts"
import type { Outbox } from "./ports/Outbox.ts"
import type { Redemptions } from "./ports/Redemptions.ts"
import { StoreHealth } from "./ports/StoreHealth.ts"
import type { WebhookCursors } from "./ports/webhooks/WebhookCursors.ts"
import type { WebhookEndpoints } from "./ports/webhooks/WebhookEndpoints.ts"
import type { WebhookRecords } from "./ports/webhooks/WebhookRecords.ts"
import { rootMessage } from "./base/RootMessage.ts"
import { KeysUnavailable } from "./security/ApiKeys.ts"
import type { ApiKeyStore } from "./security/ApiKeyStore.ts"
import type { SessionStore } from "./security/sessions/SessionStore.ts"
import { ProductionNote } from "./security/ProductionNote.ts"
import * as MemoryGate from "./memory/MemoryGate.ts"
import * as MemoryGateFacts from "./memory/MemoryGateFacts.ts"
import * as GateKeys from "./redis/GateKeys.ts"
import * as RedisClient from "./redis/RedisClient.ts"
import * as RedisEventStream from "./redis/RedisEventStream.ts"
import * as RedisGate from "./redis/RedisGate.ts"
import * as RedisGateFacts from "./redis/RedisGateFacts.ts"
import * as LibSqlApiKeyStore from "./sql/libsql/admin/LibSqlApiKeyStore.ts"
import * as LibSqlAuditChain from "./sql/libsql/admin/LibSqlAuditChain.ts"
import * as LibSqlAuditLog from "./sql/libsql/admin/LibSqlAuditLog.ts"
import * as LibSqlDeployment from "./sql/libsql/admin/LibSqlDeployment.ts"
import * as LibSqlLedgerFacts from "./sql/libsql/admin/LibSqlLedgerFacts.ts"
import * as LibSql from "./sql/libsql/LibSql.ts"
import * as LibSqlBackup from "./sql/libsql/LibSqlBackup.ts"
import * as LibSqlCampaignPhases from "./sql/libsql/LibSqlCampaignPhases.ts"
import * as LibSqlCampaignStore from "./sql/libsql/LibSqlCampaignStore.ts"
import * as LibSqlCodeImports from "./sql/libsql/LibSqlCodeImports.ts"
import * as LibSqlEventLog from "./sql/libsql/LibSqlEventLog.ts"
import * as LibSqlLedger from "./sql/libsql/LibSqlLedger.ts"
import * as LibSqlOutbox from "./sql/libsql/LibSqlOutbox.ts"
import * as LibSqlWebhooks from "./sql/libsql/webhooks/LibSqlWebhooks.ts"
import * as LibSqlRedemptions from "./sql/libsql/LibSqlRedemptions.ts"
import * as MySqlApiKeyStore from "./sql/mysql/admin/MySqlApiKeyStore.ts"
import * as MySqlAuditChain from "./sql/mysql/admin/MySqlAuditChain.ts"
import * as MySqlAuditLog from "./sql/mysql/admin/MySqlAuditLog.ts"
import * as MySqlDeployment from "./sql/mysql/admin/MySqlDeployment.ts"
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

/** The stores cannot be used, and waiting would not help; `message` says what to do. */
export class BackendUnusable extends Data.TaggedError("BackendUnusable")<{ readonly message: string }> {}

/** Receives the stores that the assembly waits for, by names that an operator understands. */
export class BootProgress extends Context.Tag("coupon/BootProgress")<BootProgress, {
  readonly waitFor: (store: string) => Effect.Effect<void>
  readonly arrived: (store: string) => Effect.Effect<void>
}>() {}

/** Pauses between attempts to reach a store: 100 ms doubling to 2 s. */
const patience = Backoff.schedule({ firstMillis: 100, lastMillis: 2_000 })

/** The pause between log lines about a store that is still awaited. */
const REMINDER = Duration.seconds(10)

const unusable = (error: { readonly message: string }) => new BackendUnusable({ message: error.message })

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

/** Every port of an assembly. */
export type Stores =
  | CampaignPhases
  | CampaignStore
  | CodeImports
  | Deployment
  | EventLog
  | EventStream.EventStream
  | GateFacts
  | Ledger
  | LedgerFacts
  | AuditLog
  | AuditChain
  | ApiKeyStore
  | SessionStore
  | Outbox
  | Redemptions
  | Gate
  | LedgerBackup
  | StoreHealth
  | WebhookCursors
  | WebhookEndpoints
  | WebhookRecords

/** The ledger on libSQL, wherever it is. */
const layerLibSql = Layer.mergeAll(
  LibSqlCampaignStore.layer,
  LibSqlCodeImports.layer,
  LibSqlLedger.layer,
  LibSqlLedgerFacts.layer,
  LibSqlAuditLog.layer,
  LibSqlAuditChain.layer,
  LibSqlApiKeyStore.layer,
  LibSqlCampaignPhases.layer,
  LibSqlDeployment.layer,
  LibSqlOutbox.layer,
  LibSqlRedemptions.layer,
  LibSqlEventLog.layer
).pipe(Layer.merge(LibSqlWebhooks.layer))

/** libSQL in a file under `DATA_DIR`, and the gate in the process. */
export const layerEmbedded: Layer.Layer<Stores, BackendUnusable, AppConfig> = Layer.merge(
  layerLibSql.pipe(
    Layer.merge(LibSqlBackup.layer),
    Layer.merge(Layer.effect(StoreHealth, StoreHealth)),
    Layer.provide(LibSql.layer),
    Layer.mapError(unusable)
  ),
  Layer.mergeAll(MemoryGate.layer, MemoryGateFacts.layer, EventStream.layerOff)
)

/** The gate and the ledger in the memory of the process. There is no file, hence no backup and no `DATA_DIR`. */
export const layerMemory: Layer.Layer<
  Exclude<Stores, LedgerBackup | StoreHealth>,
  BackendUnusable,
  AppConfig
> = Layer.merge(
  layerLibSql.pipe(Layer.provide(LibSql.layerMemory), Layer.mapError(unusable)),
  Layer.mergeAll(MemoryGate.layer, MemoryGateFacts.layer, EventStream.layerOff)
)

/** The ledger's identity determines the gate's keys, so they are built on both stores. */
const layerGateKeys = Layer.scopedContext(Effect.gen(function*() {
  const scope = yield* Effect.scope
  return yield* awaited("the ledger's identity", Layer.buildWithScope(GateKeys.layer, scope))
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
> = Layer.mergeAll(RedisGate.layer, layerEventStream, RedisGateFacts.layer).pipe(
  Layer.provide(layerGateKeys),
  Layer.provideMerge(Layer.mergeAll(
    Layer.succeed(StoreHealth, { troubles: () => [] }),
    Layer.mergeAll(
      MySqlCampaignStore.layer,
      MySqlCodeImports.layer,
      Layer.merge(MySqlLedger.layer, MySqlOutbox.layer).pipe(Layer.provide(RecentBatches.layer)),
      MySqlLedgerFacts.layer,
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
