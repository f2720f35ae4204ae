import * as Context from "effect/Context"
import type { AuditChain } from "../ports/AuditChain.ts"
import type { AuditLog } from "../ports/AuditLog.ts"
import type { CampaignPhases } from "../ports/CampaignPhases.ts"
import type { Gate } from "../ports/Gate.ts"
import type { GateFacts } from "../ports/operation/GateFacts.ts"
import type { GateRebuilder } from "../agents/GateRebuilder.ts"
import type { Agents } from "../agents/Agents.ts"
import type { KnownCampaigns } from "../agents/KnownCampaigns.ts"
import type { SaleHistory } from "../agents/sale/SaleHistory.ts"
import type { CampaignStore } from "../ports/CampaignStore.ts"
import type { Ledger } from "../ports/Ledger.ts"
import type { LedgerFacts } from "../ports/LedgerFacts.ts"
import type { InstanceBoard } from "../ports/operation/InstanceBoard.ts"
import type { LedgerBackup } from "../ports/operation/LedgerBackup.ts"
import type { Outbox } from "../ports/Outbox.ts"
import type { StoreHealth } from "../ports/StoreHealth.ts"
import type { WebhookEndpoints } from "../ports/webhooks/WebhookEndpoints.ts"
import type { WebhookDelivery } from "../webhooks/delivery/WebhookDelivery.ts"
import type { ApiKeys } from "../security/ApiKeys.ts"
import type { Sessions } from "../security/sessions/Sessions.ts"

/** The services that the operator's calls use, once the stores are there. */
export type Ports =
  | AuditLog
  | AuditChain
  | Agents
  | ApiKeys
  | CampaignPhases
  | Gate
  | GateFacts
  | GateRebuilder
  | KnownCampaigns
  | CampaignStore
  | Ledger
  | LedgerFacts
  | InstanceBoard
  | LedgerBackup
  | Outbox
  | SaleHistory
  | Sessions
  | StoreHealth
  | WebhookDelivery
  | WebhookEndpoints

/** What the operator plane needs of the running service. */
export class OperatorServices extends Context.Tag("coupon/operator/OperatorServices")<OperatorServices, {
  /** `undefined` while a store is still awaited. */
  readonly current: () => Context.Context<Ports> | undefined
  /** The chosen stores in a few words, without secrets. */
  readonly stores: string
}>() {}
