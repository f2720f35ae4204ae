import * as Layer from "effect/Layer"
import type { AppConfig } from "./config/AppConfig.ts"
import * as EventStream from "./ports/EventStream.ts"
import type { LedgerBackup } from "./ports/operation/LedgerBackup.ts"
import { StoreHealth } from "./ports/StoreHealth.ts"
import * as MemoryGate from "./memory/MemoryGate.ts"
import * as MemoryGateFacts from "./memory/MemoryGateFacts.ts"
import * as MemoryInstanceBoard from "./memory/MemoryInstanceBoard.ts"
import * as LibSqlApiKeyStore from "./sql/libsql/admin/LibSqlApiKeyStore.ts"
import * as LibSqlAuditChain from "./sql/libsql/admin/LibSqlAuditChain.ts"
import * as LibSqlAuditLog from "./sql/libsql/admin/LibSqlAuditLog.ts"
import * as LibSqlDeployment from "./sql/libsql/admin/LibSqlDeployment.ts"
import * as LibSqlErasures from "./sql/libsql/admin/LibSqlErasures.ts"
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
import { type BackendUnusable, type Stores, unusable } from "./Stores.ts"

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
).pipe(Layer.merge(Layer.merge(LibSqlErasures.layer, LibSqlWebhooks.layer)))

/** libSQL in a file under `DATA_DIR`, and the gate in the process. */
export const layerEmbedded: Layer.Layer<Stores, BackendUnusable, AppConfig> = Layer.merge(
  layerLibSql.pipe(
    Layer.merge(LibSqlBackup.layer),
    Layer.merge(Layer.effect(StoreHealth, StoreHealth)),
    Layer.provide(LibSql.layer),
    Layer.mapError(unusable)
  ),
  Layer.mergeAll(MemoryGate.layer, MemoryGateFacts.layer, MemoryInstanceBoard.layer, EventStream.layerOff)
)

/** The gate and the ledger in the memory of the process. There is no file, hence no backup and no `DATA_DIR`. */
export const layerMemory: Layer.Layer<
  Exclude<Stores, LedgerBackup | StoreHealth>,
  BackendUnusable,
  AppConfig
> = Layer.merge(
  layerLibSql.pipe(Layer.provide(LibSql.layerMemory), Layer.mapError(unusable)),
  Layer.mergeAll(MemoryGate.layer, MemoryGateFacts.layer, MemoryInstanceBoard.layer, EventStream.layerOff)
)
