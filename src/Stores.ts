import * as Data from "effect/Data"
import type { AuditChain } from "./ports/AuditChain.ts"
import type { AuditLog } from "./ports/AuditLog.ts"
import type { CampaignStore } from "./ports/CampaignStore.ts"
import type { CodeImports } from "./ports/CodeImports.ts"
import type { CampaignPhases } from "./ports/CampaignPhases.ts"
import type { Deployment } from "./ports/operation/Deployment.ts"
import type { Erasures } from "./ports/operation/Erasures.ts"
import type { EventLog } from "./ports/EventLog.ts"
import type { EventStream } from "./ports/EventStream.ts"
import type { Gate } from "./ports/Gate.ts"
import type { GateFacts } from "./ports/operation/GateFacts.ts"
import type { Ledger } from "./ports/Ledger.ts"
import type { LedgerFacts } from "./ports/LedgerFacts.ts"
import type { InstanceBoard } from "./ports/operation/InstanceBoard.ts"
import type { LedgerBackup } from "./ports/operation/LedgerBackup.ts"
import type { Outbox } from "./ports/Outbox.ts"
import type { Redemptions } from "./ports/Redemptions.ts"
import type { StoreHealth } from "./ports/StoreHealth.ts"
import type { WebhookCursors } from "./ports/webhooks/WebhookCursors.ts"
import type { WebhookEndpoints } from "./ports/webhooks/WebhookEndpoints.ts"
import type { WebhookRecords } from "./ports/webhooks/WebhookRecords.ts"
import type { ApiKeyStore } from "./security/ApiKeyStore.ts"
import type { SessionStore } from "./security/sessions/SessionStore.ts"

/** The stores cannot be used, and waiting would not help; `message` says what to do. */
export class BackendUnusable extends Data.TaggedError("BackendUnusable")<{ readonly message: string }> {}

/** An error that says what to do about it. */
export const unusable = (error: { readonly message: string }) => new BackendUnusable({ message: error.message })

/** Every port of an assembly. */
export type Stores =
  | CampaignPhases
  | CampaignStore
  | CodeImports
  | Deployment
  | Erasures
  | EventLog
  | EventStream
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
  | InstanceBoard
  | LedgerBackup
  | StoreHealth
  | WebhookCursors
  | WebhookEndpoints
  | WebhookRecords
